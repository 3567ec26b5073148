-- Take a slice of a job's events under a lease. Only events that still belong to this job and
-- that no live lease holds are taken, so a job may run twice and two workers never share one.
--
-- ARGV: prefix, now, lease end, job id, key ...
-- Returns for each claimed event: key, fence, attempts, kind, received_at, wire (or false).

local now, lease, job = ARGV[2], ARGV[3], ARGV[4]

redis.call('ZADD', P .. ':running', lease, job)

local claimed = {}
for i = 5, #ARGV do
  local key = ARGV[i]
  local record = read(key)
  if record and record.state == 'inflight' and record.job == job and held_by_nobody(record, now) then
    record.fence = (record.fence or 0) + 1
    record.lease = tonumber(lease)
    write(key, record)
    claimed[#claimed + 1] = { key, record.fence, record.attempts or 0, record.kind,
      tostring(record.received_at), redis.call('GET', body_key(key)) }
  end
end
return claimed
