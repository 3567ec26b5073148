-- Give events to a new job and push it, if at least one of them still is as it was seen.
--
-- ARGV: prefix, now, RQ's set of queues,
--       queue key, job key, job id, number of values, field, value, ...
--       number of events, each: key, state as seen, job as seen
-- An event whose record changed meanwhile is left alone. A dead one comes back to life with
-- its attempts forgotten. Returns the keys that were moved.

local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local P, now, queues = take(), take(), take()
local queue, job_key, job_id, fields = take(), take(), take(), {}
for f = 1, tonumber(take()) do fields[f] = take() end

local moved = {}
for _ = 1, tonumber(take()) do
  local key, state, job = take(), take(), take()
  local record = P .. ':event:' .. key
  local held = redis.call('HMGET', record, 'state', 'job', 'lease', 'kind')
  local free = not held[3] or tonumber(held[3]) <= tonumber(now)
  if held[1] == state and (held[2] or '') == job and free then
    if state == 'dead' then
      local dead = P .. ':dead:' .. held[4]
      local size = redis.call('STRLEN', P .. ':body:' .. key)
      redis.call('ZREM', dead, key)
      -- Received now: an old age in flight would make the edge shed what comes in.
      redis.call('ZADD', P .. ':inflight:' .. held[4], now, key)
      redis.call('HINCRBY', P .. ':counters', 'dead_bytes', -size)
      redis.call('HSET', record, 'state', 'inflight', 'attempts', 0, 'received_at', now)
    end
    redis.call('HSET', record, 'job', job_id, 'queued_at', now)
    redis.call('HINCRBY', record, 'generation', 1)
    redis.call('HDEL', record, 'lease', 'next_at')
    redis.call('ZREM', P .. ':retry', key)
    moved[#moved + 1] = key
  end
end

if #moved > 0 then
  redis.call('SADD', queues, queue)
  redis.call('HSET', job_key, unpack(fields))
  redis.call('RPUSH', queue, job_id)
end
return moved
