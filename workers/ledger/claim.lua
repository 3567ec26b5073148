-- Take a slice of a job's events under a lease. Only events that still belong to this job and
-- that no live lease holds are taken, so a job may run twice and two workers never share one.
-- The first of them start at once, which saves a round trip: their attempt is counted here.
--
-- ARGV: prefix, now, lease end, job id, how many start at once, attempts from which an event does
--   not, key ...
-- Returns for each claimed event: key, fence, attempts before this one, kind, received_at,
-- wire (or false), 1 if it is started.

local now, lease, job = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local STARTING, ALONE = tonumber(ARGV[5]), tonumber(ARGV[6])

redis.call('ZADD', P .. ':running', lease, job)

local names = {}
for i = 7, #ARGV do names[#names + 1] = record_key(ARGV[i]) end
local held = redis.call('MGET', unpack(names))

local claimed, bodies, written = {}, {}, {}
for i, name in ipairs(names) do
  local key, record = ARGV[i + 6], held[i] and cjson.decode(held[i])
  if record and record.state == 'inflight' and record.job == job and held_by_nobody(record, now) then
    local attempts = record.attempts or 0
    local starts = #claimed < STARTING and attempts < ALONE
    record.fence, record.lease = (record.fence or 0) + 1, lease
    record.attempts = starts and attempts + 1 or record.attempts
    claimed[#claimed + 1] = { key, record.fence, attempts, record.kind,
      tostring(record.received_at), false, starts and 1 or 0 }
    bodies[#bodies + 1] = body_key(key)
    written[#written + 1] = name
    written[#written + 1] = cjson.encode(record)
  end
end
if #claimed == 0 then return claimed end

redis.call('MSET', unpack(written))
for c, wire in ipairs(redis.call('MGET', unpack(bodies))) do claimed[c][6] = wire end
return claimed
