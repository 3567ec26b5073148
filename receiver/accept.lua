-- Commit one batch of deliveries: dedup, record, body, index, counters and the RQ jobs, or nothing.
--
-- Lua has no rollback, so everything that can fail (types, reads) comes before the first write.
--
-- ARGV: prefix, now, RQ's set of queues,
--   number of jobs,       each: queue key, job key, job id, number of values, field, value, ...
--   number of events,     each: key, digest, kind, wire, received_at, label, number of its job
--   number of quarantined, each: key, endpoint, reason, digest, received_at, label, body
--   number of uses,       each: "endpoint/label"
--   limits of quarantine per endpoint: records, bodies, bytes, bytes of an excerpt
-- Returns one number per event, then per quarantined body:
--   1 new, 2 known with the same body, 3 known with another body.

local NEW, DUPLICATE, CONFLICT = 1, 2, 3

local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local P, now, queues = take(), take(), take()

local jobs = {}
for j = 1, tonumber(take()) do
  local job = { queue = take(), key = take(), id = take(), fields = {}, wanted = false }
  for f = 1, tonumber(take()) do job.fields[f] = take() end
  jobs[j] = job
end

local events = {}
for e = 1, tonumber(take()) do
  events[e] = {
    key = take(), digest = take(), kind = take(), wire = take(),
    received_at = take(), label = take(), job = tonumber(take()),
  }
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

local MAX_RECORDS, MAX_BODIES = tonumber(take()), tonumber(take())
local MAX_BYTES, EXCERPT = tonumber(take()), tonumber(take())

-- Reads and checks.

local function is_a(key, wanted)
  local kind = redis.call('TYPE', key).ok
  return kind == wanted or kind == 'none'
end

local function wrong(key, wanted)
  return redis.error_reply('WRONGTYPE ' .. key .. ' is not a ' .. wanted)
end

local counters, used, held = P .. ':counters', P .. ':keys', P .. ':quarantine-held'
for _, key in ipairs({ counters, used, held }) do
  if not is_a(key, 'hash') then return wrong(key, 'hash') end
end
if not is_a(queues, 'set') then return wrong(queues, 'set') end
for _, job in ipairs(jobs) do
  if not is_a(job.queue, 'list') then return wrong(job.queue, 'list') end
end

local checked = {}
local function sorted_set(key)
  if not checked[key] then
    checked[key] = is_a(key, 'zset')
  end
  return checked[key]
end

for _, event in ipairs(events) do
  event.record = P .. ':event:' .. event.key
  event.index = P .. ':inflight:' .. event.kind
  if not sorted_set(event.index) then return wrong(event.index, 'zset') end
  local known = redis.pcall('HGET', event.record, 'digest')
  if type(known) == 'table' then return wrong(event.record, 'hash') end
  event.known = known
end
for _, item in ipairs(rubbish) do
  item.record = P .. ':quarantined:' .. item.key
  item.index = P .. ':quarantine:' .. item.endpoint
  if not sorted_set(item.index) then return wrong(item.index, 'zset') end
  item.known = redis.call('EXISTS', item.record) == 1
end

-- Writes.

local answers, tally, seen = {}, {}, {}
local function count(name)
  tally[name] = (tally[name] or 0) + 1
end

for e, event in ipairs(events) do
  local known = event.known or seen[event.key]
  if not known then
    seen[event.key] = event.digest
    local job = jobs[event.job]
    job.wanted = true
    redis.call('HSET', event.record, 'state', 'inflight', 'digest', event.digest,
      'kind', event.kind, 'received_at', event.received_at, 'label', event.label,
      'job', job.id, 'queued_at', now)
    redis.call('SET', P .. ':body:' .. event.key, event.wire)
    redis.call('ZADD', event.index, event.received_at, event.key)
    count('accepted:' .. event.kind)
    answers[e] = NEW
  elseif known == event.digest then
    count('duplicates')
    answers[e] = DUPLICATE
  else
    answers[e] = CONFLICT
  end
end

local function quarantine(item)
  local endpoint = item.endpoint
  if redis.call('ZCARD', item.index) >= MAX_RECORDS then
    count('quarantine_overflow')
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

for _, item in ipairs(rubbish) do
  if item.known or seen[item.key] then
    answers[#answers + 1] = DUPLICATE
  else
    seen[item.key] = true
    quarantine(item)
    count('quarantined:' .. item.reason)
    answers[#answers + 1] = NEW
  end
end

for _, job in ipairs(jobs) do
  if job.wanted then
    redis.call('SADD', queues, job.queue)
    redis.call('HSET', job.key, unpack(job.fields))
    redis.call('RPUSH', job.queue, job.id)
  end
end

for _, use in ipairs(uses) do redis.call('HSET', used, use, now) end

-- Always a write, so that a wait for durability covers everything that was read above.
redis.call('HINCRBY', counters, 'commits', 1)
for name, times in pairs(tally) do redis.call('HINCRBY', counters, name, times) end

return answers
