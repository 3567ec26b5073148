-- Begin the pending flush of a group under a lease; the next timer is armed before it runs.
-- ARGV: room, group id, now, end of the lease, group_interval
-- Returns false if there is nothing to flush or somebody is at it, else
-- fence, flushes so far, time for which it was due, version of the log, generation, alerts,
-- log entries, ids of its deliveries, and of each that is open: target, when it was made, 1 if an
-- attempt at it never ended.
local room, gid, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local group = room .. 'group:' .. gid
local held = redis.call('HMGET', group, 'slot', 'pending', 'lease', 'flushes', 'told',
  'generation', 'addressed')
if not held[1] then
  redis.call('ZREM', room .. 'due', gid)
  return false
end
if not held[2] or (held[3] and tonumber(held[3]) > now) then return false end

local after = tonumber(held[2]) + tonumber(ARGV[5])
if after <= now then after = now + tonumber(ARGV[5]) end
redis.call('HSET', group, 'lease', ARGV[4], 'next', string.format('%.6f', after))
redis.call('HDEL', group, 'poked')
redis.call('ZADD', room .. 'due', ARGV[4], gid)

local open = {}
for id in string.gmatch(held[7] or '', '%S+') do
  local one = redis.call('HMGET', room .. 'delivery:' .. id, 'target', 'created', 'lease')
  if one[1] then
    open[#open + 1] = one[1]
    open[#open + 1] = one[2]
    open[#open + 1] = one[3] and tonumber(one[3]) <= now and '1' or '0'
  end
end
return {
  redis.call('HINCRBY', group, 'fence', 1), tonumber(held[4] or 0), held[2], held[5] or '0',
  held[6] or '', redis.call('HGETALL', room .. 'alerts:' .. gid),
  redis.call('HGETALL', room .. 'log:' .. gid), held[7] or '', open,
}
