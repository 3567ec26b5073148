-- Give events to a new job and push it, if at least one of them still is as it was seen.
--
-- ARGV: prefix, now, the job (see push_job),
--       number of events, each: key, state as seen, job as seen
-- An event whose record changed meanwhile is left alone. A dead one comes back to life with
-- its attempts forgotten, and as received now: its age is that of its second life, which must
-- not make the edge shed newer events. Returns the keys that were moved.

local now, job_id = ARGV[2], ARGV[6]
local cursor = 7 + tonumber(ARGV[7])

local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local function revive(key, record)
  redis.call('ZREM', P .. ':dead:' .. record.kind, key)
  redis.call('ZADD', P .. ':inflight:' .. record.kind, now, key)
  count('dead_bytes', -redis.call('STRLEN', body_key(key)))
  record.state, record.attempts, record.received_at = 'inflight', 0, tonumber(now)
  record.at = nil
end

local moved = {}
for _ = 1, tonumber(take()) do
  local key, state, job = take(), take(), take()
  local record = read(key)
  if record and record.state == state and record.job == job and held_by_nobody(record, now) then
    if state == 'dead' then revive(key, record) end
    record.job, record.queued_at = job_id, tonumber(now)
    record.generation = (record.generation or 0) + 1
    record.lease, record.next_at = nil, nil
    write(key, record)
    redis.call('ZREM', P .. ':retry', key)
    moved[#moved + 1] = key
  end
end

if #moved > 0 then push_job(ARGV, 3) end
return moved
