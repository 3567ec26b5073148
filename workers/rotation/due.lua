-- Hand rotations that are due to one job each: what is still due at the time that was read is
-- moved to a later time and its job pushed, so that any number of ticks take it once, and the
-- rotation of a lost job comes due again.
--
-- ARGV: the sorted set, time at which it comes due again, RQ's set of queues,
--   number of rotations, each: id, score, queue key, job key, job id, number of values,
--     field, value, ...
-- Returns how many were taken.
local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local due, again, queues = take(), take(), take()
local taken = 0
for _ = 1, tonumber(take()) do
  local id, score, queue, job_key, job_id = take(), tonumber(take()), take(), take(), take()
  local fields = {}
  for f = 1, tonumber(take()) do fields[f] = take() end
  local held = redis.call('ZSCORE', due, id)
  if held and tonumber(held) == score then
    redis.call('ZADD', due, again, id)
    redis.call('SADD', queues, queue)
    redis.call('HSET', job_key, unpack(fields))
    redis.call('RPUSH', queue, job_id)
    taken = taken + 1
  end
end
return taken
