-- End an attempt at a delivery: its row in the ledger, the log, and what follows from it.
-- After room.lua.
--
-- ARGV: room, delivery id, fence, revision, outcome (sent|retry|failed), now, next attempt,
--       log entry ('' to leave it), milliseconds for which the target rests (0: not at all),
--       most rows kept, most dead letters kept, number of values, field, value ... of the row
-- Returns 1, or 0 if the fence was lost.
local room, id, fence, revision, outcome, now, next_at, entry =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local delivery, deliveries = room .. 'delivery:' .. id, room .. 'deliveries'
local held = redis.call('HMGET', delivery, 'fence', 'revision', 'group', 'flush', 'target',
  'created', 'deadline')
if held[1] ~= fence then return 0 end

local row = {}
for f = 13, 12 + tonumber(ARGV[12]) do row[#row + 1] = ARGV[f] end
redis.call('XADD', room .. 'attempts', 'MAXLEN', '~', ARGV[10], '*', unpack(row))

local gid = held[3]
local group = room .. 'group:' .. gid
if entry ~= '' then
  redis.call('HSET', room .. 'log:' .. gid, held[5], entry)
  if redis.call('EXISTS', group) == 1 then redis.call('HINCRBY', group, 'told', 1) end
end
if tonumber(ARGV[9]) > 0 then
  redis.call('SET', room .. 'pause:' .. held[5], next_at, 'PX', ARGV[9])
end

if outcome == 'retry' then
  redis.call('HSET', delivery, 'next_at', next_at)
  redis.call('HDEL', delivery, 'lease')
  redis.call('ZADD', deliveries, next_at, id)
  return 1
end
if held[2] ~= revision then
  -- There is newer to tell: the delivery goes on with it, as if it were new.
  local patience = tonumber(held[7]) - tonumber(held[6])
  redis.call('HSET', delivery, 'next_at', now, 'attempts', 0, 'created', now,
    'deadline', string.format('%.6f', tonumber(now) + patience))
  redis.call('HDEL', delivery, 'lease')
  redis.call('ZADD', deliveries, now, id)
  return 1
end

local told = redis.call('HMGET', group, 'flushes', 'resolving', 'log_ttl')
local current = told[1] and told[1] == held[4]
if outcome == 'sent' then
  drop(room, id)
  if current and redis.call('HINCRBY', group, 'waiting', -1) == 0 then
    forget(room, gid, told[2], told[3])
  end
  return 1
end

-- For good: what was resolved stays in its group, so that the next flush tries again.
if current then redis.call('HSET', group, 'waiting', -1) end
local dead = room .. 'dead'
local letter = id .. ':' .. held[4]
redis.call('RENAME', delivery, dead .. ':' .. letter)
redis.call('ZREM', deliveries, id)
redis.call('ZADD', dead, now, letter)
local over = redis.call('ZCARD', dead) - tonumber(ARGV[11])
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGE', dead, 0, over - 1)) do
    redis.call('DEL', dead .. ':' .. old)
  end
  redis.call('ZREMRANGEBYRANK', dead, 0, over - 1)
end
return 1
