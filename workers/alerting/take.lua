-- Hand what is due to jobs: what is still due at the time that was read is moved to a later
-- time and its job pushed, so that any number of ticks take it once, and a lost job's work
-- comes due again.
--
-- ARGV: sorted set, prefix of the hashes whose `pending` is to be set ('' for none),
--       time at which it comes due again, RQ's set of queues,
--   number of jobs, each: number of members, member, score ..., queue key, job key, job id,
--     number of values, field, value, ...
-- Returns how many members were taken.
local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local due, hashes, again, queues = take(), take(), take(), take()
local total = 0
for _ = 1, tonumber(take()) do
  local taken = 0
  for _ = 1, tonumber(take()) do
    local member, score = take(), tonumber(take())
    local held = redis.call('ZSCORE', due, member)
    if held and tonumber(held) == score then
      if hashes ~= '' and redis.call('EXISTS', hashes .. member) == 0 then
        redis.call('ZREM', due, member)
      else
        redis.call('ZADD', due, again, member)
        if hashes ~= '' then redis.call('HSETNX', hashes .. member, 'pending', held) end
        taken = taken + 1
      end
    end
  end
  local queue, job_key, job_id, fields = take(), take(), take(), {}
  for f = 1, tonumber(take()) do fields[f] = take() end
  if taken > 0 then
    redis.call('SADD', queues, queue)
    redis.call('HSET', job_key, unpack(fields))
    redis.call('RPUSH', queue, job_id)
  end
  total = total + taken
end
return total
