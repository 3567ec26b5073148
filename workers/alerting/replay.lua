-- Turn a dead letter into a delivery again.
-- ARGV: room, delivery id, letter, now, deadline, 1 to do so although its group has ended
local room, id, letter, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local dead, delivery = room .. 'dead:' .. letter, room .. 'delivery:' .. id
local held = redis.call('HMGET', dead, 'group', 'toll')
if not held[1] then
  redis.call('ZREM', room .. 'dead', letter)
  return 'gone'
end
if redis.call('EXISTS', delivery) == 1 then return 'superseded' end
local group = room .. 'group:' .. held[1]
local lives = redis.call('EXISTS', group) == 1
if not lives and ARGV[6] ~= '1' then return 'over' end

redis.call('RENAME', dead, delivery)
redis.call('ZREM', room .. 'dead', letter)
-- It is no part of any flush any more: its outcome is its own.
redis.call('HSET', delivery, 'flush', 'replay', 'created', now, 'next_at', now, 'attempts', 0,
  'deadline', ARGV[5])
redis.call('HINCRBY', delivery, 'revision', 1)
redis.call('ZADD', room .. 'deliveries', now, id)
if lives then
  local addressed = redis.call('HGET', group, 'addressed') or ''
  redis.call('HSET', group, 'addressed', addressed .. ' ' .. id)
end
return 'replayed'
