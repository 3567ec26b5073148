-- Take a slice of a job's events under a lease. Only events that still belong to this job and
-- that no live lease holds are taken, so a job may run twice and two workers never share one.
--
-- ARGV: prefix, now, lease end, job id, key ...
-- Returns for each claimed event: key, fence, attempts, kind, received_at, wire (or false).

local P, now, lease, job = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

redis.call('ZADD', P .. ':running', lease, job)

local claimed = {}
for i = 5, #ARGV do
  local key = ARGV[i]
  local record = P .. ':event:' .. key
  local held = redis.call('HMGET', record, 'state', 'job', 'lease', 'attempts', 'kind', 'received_at')
  local free = not held[3] or tonumber(held[3]) <= now
  if held[1] == 'inflight' and held[2] == job and free then
    local fence = redis.call('HINCRBY', record, 'fence', 1)
    redis.call('HSET', record, 'lease', lease)
    claimed[#claimed + 1] = { key, fence, tonumber(held[4] or 0), held[5], held[6],
      redis.call('GET', P .. ':body:' .. key) }
  end
end
return claimed
