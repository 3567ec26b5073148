-- End a flush: what is to be told becomes deliveries, at most one for each way of telling.
-- After room.lua.
--
-- ARGV: room, group id, fence, version of the log as it was read, now, time at which an untouched delivery comes due,
--       seconds the log outlives its group, alerts over as lines of `<fingerprint> <head>`,
--   number of log entries, each: integration, entry
--   number of deliveries to drop, each: id
--   number of deliveries, each: id, target, deadline, notification, firing, resolved
-- Returns 1, or 0 if the fence was lost or the log moved on.
local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local room, gid, fence, told, now, handover, log_ttl, resolving =
  take(), take(), take(), take(), take(), take(), take(), take()
local group = room .. 'group:' .. gid
local held = redis.call('HMGET', group, 'fence', 'told')
if held[1] ~= fence then return 0 end
if (held[2] or '0') ~= told then
  -- A delivery was told while this flush was deciding: it has to decide again.
  redis.call('HDEL', group, 'lease')
  redis.call('ZADD', room .. 'due', now, gid)
  return 0
end

local flush = redis.call('HINCRBY', group, 'flushes', 1)
for _ = 1, tonumber(take()) do
  redis.call('HSET', room .. 'log:' .. gid, take(), take())
end

-- One that a worker is just trying is left to it: its outcome is worth knowing.
local function tried(delivery)
  local lease = redis.call('HGET', delivery, 'lease')
  return lease and tonumber(lease) > tonumber(now)
end

for _ = 1, tonumber(take()) do
  local id = take()
  if not tried(room .. 'delivery:' .. id) then drop(room, id) end
end

local waiting = tonumber(take())
for _ = 1, waiting do
  local id, target, deadline = take(), take(), take()
  local delivery = room .. 'delivery:' .. id
  local fresh = redis.call('HSETNX', delivery, 'created', now) == 1
  redis.call('HSET', delivery, 'group', gid, 'flush', flush, 'notification', take(),
    'firing', take(), 'resolved', take())
  redis.call('HINCRBY', delivery, 'revision', 1)
  if fresh then
    redis.call('HSET', delivery, 'target', target, 'deadline', deadline, 'next_at', now)
    redis.call('ZADD', room .. 'deliveries', handover, id)
  end
end

redis.call('HDEL', group, 'pending', 'lease')
if waiting == 0 and forget(room, gid, resolving, log_ttl) then return 1 end
redis.call('HSET', group, 'waiting', waiting, 'resolving', resolving, 'log_ttl', log_ttl)
redis.call('ZADD', room .. 'due', redis.call('HGET', group, 'next'), gid)
return 1
