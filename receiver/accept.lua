-- Commit one batch of deliveries: dedup, record, body, index, counters and the RQ jobs, or nothing.
--
-- Lua has no rollback, so everything that can fail (types, reads) comes before the first write.
-- The arguments of an all-new batch, which nearly every batch is, are passed on as they stand:
-- the cost of an event is then that of two keys and one index entry.
--
-- ARGV: prefix, now, RQ's set of queues,
--   number of jobs,    each: queue key, job key, job id, number of values, field, value, ...
--   number of events,  each: record key, record (JSON), body key, wire   (no key twice)
--   number of kinds,   each: kind, number of its events, received_at, key, received_at, key, ...
--   number of bodies for quarantine,
--                      each: key, endpoint, reason, digest, received_at, label, body
--   number of uses,    each: "endpoint/label"
--   how many more duplicates the batch held of its own events
--   limits of quarantine per endpoint: records, bodies, bytes, bytes of an excerpt
-- Returns one number per event: 1 new, 2 known with the same body, 3 known with another body.

local NEW, DUPLICATE, CONFLICT = 1, 2, 3

local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local P, now, queues = take(), take(), take()

local jobs = {}
for j = 1, tonumber(take()) do
  local job = { queue = take(), key = take(), id = take(), fields = {} }
  for f = 1, tonumber(take()) do job.fields[f] = take() end
  jobs[j] = job
end

local n_events = tonumber(take())
local first_event = cursor + 1
local last_event = cursor + 4 * n_events
cursor = last_event

local kinds = {}
for k = 1, tonumber(take()) do
  local kind = { name = take(), count = tonumber(take()) }
  kind.index, kind.first = P .. ':inflight:' .. kind.name, cursor + 1
  cursor = cursor + 2 * kind.count
  kind.last = cursor
  kinds[k] = kind
end

local rubbish = {}
for q = 1, tonumber(take()) do
  rubbish[q] = {
    key = take(), endpoint = take(), reason = take(), digest = take(),
    received_at = take(), label = take(), body = take(),
  }
end

local uses = {}
for u = 1, tonumber(take()) do uses[u] = take() end
local repeats = tonumber(take())

local MAX_RECORDS, MAX_BODIES = tonumber(take()), tonumber(take())
local MAX_BYTES, EXCERPT = tonumber(take()), tonumber(take())

-- Reads and checks.

local checks = { { P .. ':counters', 'hash' }, { P .. ':keys', 'hash' },
  { P .. ':quarantine-held', 'hash' }, { queues, 'set' } }
for _, job in ipairs(jobs) do checks[#checks + 1] = { job.queue, 'list' } end
for _, kind in ipairs(kinds) do checks[#checks + 1] = { kind.index, 'zset' } end
for _, item in ipairs(rubbish) do
  item.record = P .. ':quarantined:' .. item.key
  item.index = P .. ':quarantine:' .. item.endpoint
  checks[#checks + 1] = { item.index, 'zset' }
end
for _, check in ipairs(checks) do
  local found = redis.call('TYPE', check[1]).ok
  if found ~= check[2] and found ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. check[1] .. ' is not a ' .. check[2])
  end
end

local known, any_known = {}, false
if n_events > 0 then
  local records = {}
  for e = 1, n_events do records[e] = ARGV[first_event + 4 * (e - 1)] end
  known = redis.call('MGET', unpack(records))
  for e = 1, n_events do any_known = any_known or known[e] end
end

-- Writes.

local counters, held = P .. ':counters', P .. ':quarantine-held'
local answers, tally = {}, {}

local function count(name, times)
  tally[name] = (tally[name] or 0) + times
end

local function push(job)
  redis.call('SADD', queues, job.queue)
  redis.call('HSET', job.key, unpack(job.fields))
  redis.call('RPUSH', job.queue, job.id)
end

local function accept_all()
  redis.call('MSET', unpack(ARGV, first_event, last_event))
  for _, kind in ipairs(kinds) do
    redis.call('ZADD', kind.index, unpack(ARGV, kind.first, kind.last))
    count('accepted:' .. kind.name, kind.count)
  end
  for _, job in ipairs(jobs) do push(job) end
  for e = 1, n_events do answers[e] = NEW end
end

-- One job per queue carries the whole batch; it is pushed if at least one of its events is new.
local function accept_some()
  local wanted = {}
  for e = 1, n_events do
    local at = first_event + 4 * (e - 1)
    local record = cjson.decode(ARGV[at + 1])
    if not known[e] then
      local key = string.sub(ARGV[at], #P + 8)
      redis.call('MSET', ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
      redis.call('ZADD', P .. ':inflight:' .. record.kind, record.received_at, key)
      count('accepted:' .. record.kind, 1)
      wanted[record.job] = true
      answers[e] = NEW
    elseif cjson.decode(known[e]).digest == record.digest then
      count('duplicates', 1)
      answers[e] = DUPLICATE
    else
      answers[e] = CONFLICT
    end
  end
  for _, job in ipairs(jobs) do
    if wanted[job.id] then push(job) end
  end
end

local function quarantine(item)
  local endpoint = item.endpoint
  if redis.call('ZCARD', item.index) >= MAX_RECORDS then
    count('quarantine_overflow', 1)
    return
  end
  local size, body = #item.body, item.body
  local bodies = tonumber(redis.call('HGET', held, 'bodies:' .. endpoint) or 0)
  local bytes = tonumber(redis.call('HGET', held, 'bytes:' .. endpoint) or 0)
  local whole = bodies < MAX_BODIES and bytes + size <= MAX_BYTES
  if whole then
    redis.call('HINCRBY', held, 'bodies:' .. endpoint, 1)
    redis.call('HINCRBY', held, 'bytes:' .. endpoint, size)
  else
    body = string.sub(body, 1, EXCERPT)
  end
  redis.call('HSET', item.record, 'endpoint', endpoint, 'reason', item.reason,
    'digest', item.digest, 'size', size, 'at', item.received_at, 'label', item.label,
    'whole', whole and 1 or 0, 'body', body)
  redis.call('ZADD', item.index, item.received_at, item.key)
end

if any_known then
  accept_some()
elseif n_events > 0 then
  accept_all()
end

for _, item in ipairs(rubbish) do
  if redis.call('EXISTS', item.record) == 0 then
    quarantine(item)
    count('quarantined:' .. item.reason, 1)
  end
end

if repeats > 0 then count('duplicates', repeats) end
for _, use in ipairs(uses) do redis.call('HSET', P .. ':keys', use, now) end

-- Always a write, so that a wait for durability covers everything that was read above.
redis.call('HINCRBY', counters, 'commits', 1)
for name, times in pairs(tally) do redis.call('HINCRBY', counters, name, times) end

return answers
