-- Begin an attempt at a delivery under a lease; it is counted before anything is sent.
-- ARGV: room, delivery id, now, end of the lease
-- Returns false if it is gone, not due, held, or its target is paused, else
-- fence, attempts, revision, 1 if an earlier attempt never came to an outcome,
-- group id, target, deadline, notification, firing, resolved, log entry (or false).
local room, id, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local delivery, deliveries = room .. 'delivery:' .. id, room .. 'deliveries'
local held = redis.call('HMGET', delivery, 'target', 'lease', 'next_at', 'deadline', 'group')
if not held[1] then
  redis.call('ZREM', deliveries, id)
  return false
end
if held[2] and tonumber(held[2]) > now then return false end

local deadline = tonumber(held[4])
local paused = tonumber(redis.call('GET', room .. 'pause:' .. held[1]) or 0)
local opens = math.min(math.max(tonumber(held[3]), paused), deadline)
if opens > now then
  redis.call('ZADD', deliveries, string.format('%.6f', opens), id)
  return false
end

local lost = held[2] and 1 or 0
redis.call('HSET', delivery, 'lease', ARGV[4])
redis.call('ZADD', deliveries, ARGV[4], id)
local rest = redis.call('HMGET', delivery, 'revision', 'notification', 'firing', 'resolved')
return {
  redis.call('HINCRBY', delivery, 'fence', 1), redis.call('HINCRBY', delivery, 'attempts', 1),
  rest[1], lost, held[5], held[1], held[4], rest[2], rest[3], rest[4],
  redis.call('HGET', room .. 'log:' .. held[5], held[1]),
}
