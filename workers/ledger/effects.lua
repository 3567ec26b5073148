-- The room in which effects are defined: fragments add to `effects`, `push_job` is theirs to use.
local effects = {}

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
