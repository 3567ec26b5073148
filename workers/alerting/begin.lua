-- Begin the pending flushes of groups under a lease: those given, and, if they are wanted, some
-- that became urgent while the job that was called for them was on its way. What is left of those
-- another job takes. After record.lua.
--
-- ARGV: room, now, end of the lease, most urgent ones to take, number of groups, each: id,
--   that other job
-- Returns for each group that is to be flushed: id, slot, key, labels, options, fence, flushes so
-- far, time for which it was due, version of the log, generation, alerts, log entries, ids of its
-- deliveries, and of each that is open: target, when it was made, 1 if an attempt at it never
-- ended, revision, entry of its success, 1 if it was told before and keeps its alerts alive.
local room, now, lease, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local function open_deliveries(ids)
  local open = {}
  for id in string.gmatch(ids, '%S+') do
    local one = redis.call('HMGET', room .. 'delivery:' .. id, 'target', 'created', 'lease',
      'revision', 'entry', 'kept')
    if one[1] then
      local lost = one[3] and tonumber(one[3]) <= now and '1' or '0'
      open[#open + 1] = { one[1], one[2], lost, one[4], one[5], one[6] or '0' }
    end
  end
  return open
end

-- Nobody is called any more, or another job for what is left.
local function call_again(job)
  if redis.call('EXISTS', room .. 'urgent') == 0 then
    redis.call('DEL', room .. 'called')
    return
  end
  redis.call('SET', room .. 'called', 1, 'PX', 1000)
  push_job(ARGV, job)
end

-- Return a group whose flush is pending and that nobody is at; else nil.
local function begin(gid)
  local group = room .. 'group:' .. gid
  local held = redis.call('HMGET', group, 'slot', 'pending', 'lease', 'flushes', 'told',
    'generation', 'addressed', 'key', 'labels', 'options')
  if not held[1] then
    redis.call('ZREM', room .. 'due', gid)
    return nil
  end
  if not held[2] or (held[3] and tonumber(held[3]) > now) then return nil end

  redis.call('HSET', group, 'lease', lease)
  redis.call('HDEL', group, 'poked')
  redis.call('ZADD', room .. 'due', lease, gid)
  local addressed = held[7] or ''
  return {
    gid, held[1], held[8], held[9], held[10], redis.call('HINCRBY', group, 'fence', 1),
    tonumber(held[4] or 0), held[2], held[5] or '0', held[6] or '',
    redis.call('HGETALL', room .. 'alerts:' .. gid), redis.call('HGETALL', room .. 'log:' .. gid),
    addressed, open_deliveries(addressed),
  }
end

local found, given = {}, tonumber(ARGV[5])
for i = 6, 5 + given do found[#found + 1] = begin(ARGV[i]) end
if most == 0 then return found end
for _, gid in ipairs(redis.call('LPOP', room .. 'urgent', most) or {}) do
  found[#found + 1] = begin(gid)
end
call_again(6 + given)
return found
