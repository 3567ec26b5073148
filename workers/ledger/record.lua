-- What every script of the ledger shares. ARGV[1] is the key prefix.
--
-- A record is one JSON string: the receiver writes it whole in a batch, and a settled one is a
-- tombstone of a few fields.
local P = ARGV[1]

local function record_key(key) return P .. ':event:' .. key end
local function body_key(key) return P .. ':body:' .. key end
local function outcome_key(key) return P .. ':outcome:' .. key end

-- Return the record as a table, or false when there is none.
local function read(key)
  local held = redis.call('GET', record_key(key))
  return held and cjson.decode(held)
end

local function write(key, record)
  redis.call('SET', record_key(key), cjson.encode(record))
end

local function bury(key, record, state, now, ttl)
  local tombstone = { state = state, digest = record.digest, kind = record.kind,
    fence = record.fence, at = tonumber(now) }
  redis.call('SET', record_key(key), cjson.encode(tombstone), 'EX', ttl)
end

local function count(name, times)
  redis.call('HINCRBY', P .. ':counters', name, times)
end

local function held_by_nobody(record, now)
  return not record.lease or record.lease <= tonumber(now)
end

-- Push the RQ job described in `a` from index `i` on: RQ's set of queues, queue key, job key,
-- job id, number of values, field, value, ... Returns the index after it.
local function push_job(a, i)
  local queues, queue, job_key, job_id, n = a[i], a[i + 1], a[i + 2], a[i + 3], tonumber(a[i + 4])
  local fields = {}
  for f = 1, n do fields[f] = a[i + 4 + f] end
  redis.call('SADD', queues, queue)
  redis.call('HSET', job_key, unpack(fields))
  redis.call('RPUSH', queue, job_id)
  return i + 5 + n
end
