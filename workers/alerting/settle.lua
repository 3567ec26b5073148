-- End an attempt at a delivery: its row in the ledger, the log, and what follows from it.
-- After room.lua and the effects.
--
-- ARGV: room, delivery id, fence, revision, outcome (sent|keep|retry|failed), now, next attempt,
--       deadline of what is kept, log entry ('' to leave it), bucket that rests, milliseconds for
--       which it does (0: not at all), most rows kept, most dead letters kept, receiver,
--   number of values, field, value ... of the row ('' for no row: nothing was called)
--   number of deliveries if the receiver failed, each: id, target, receiver, deadline, toll,
--     notification, entry, 0
--   number of effects, each: name, number of arguments, argument ...
-- Returns 1, 2 if the fallback was called, or 0 if the fence was lost.
local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end
local room, id, fence, revision, outcome, now = take(), take(), take(), take(), take(), take()
local next_at, kept_until, entry, bucket = take(), take(), take(), take()
local rest, rows, dead_letters, receiver = take(), take(), take(), take()
local delivery, deliveries = room .. 'delivery:' .. id, room .. 'deliveries'
local held = redis.call('HMGET', delivery, 'fence', 'revision', 'group', 'flush', 'target',
  'created', 'deadline')
if held[1] ~= fence then return 0 end

local row = {}
for f = 1, tonumber(take()) do row[f] = take() end
if #row > 0 then redis.call('XADD', room .. 'attempts', 'MAXLEN', '~', rows, '*', unpack(row)) end

local gid = held[3]
local group = room .. 'group:' .. gid
local lives = redis.call('EXISTS', group) == 1
if entry ~= '' then
  redis.call('HSET', room .. 'log:' .. gid, held[5], entry)
  if lives then redis.call('HINCRBY', group, 'told', 1) end
end
if tonumber(rest) > 0 then
  redis.call('SET', room .. 'pause:' .. bucket, next_at, 'PX', rest)
end

local instead = {}
for i = 1, tonumber(take()) do
  instead[i] = { id = take(), target = take(), receiver = take() }
  local one = instead[i]
  one.deadline, one.toll, one.notification, one.entry, one.same =
    take(), take(), take(), take(), take()
end
run_effects(ARGV, cursor + 1, true)
end_effects()

local function again(at)
  redis.call('HSET', delivery, 'next_at', at)
  redis.call('HDEL', delivery, 'lease')
  redis.call('ZADD', deliveries, at, id)
end

if outcome == 'retry' then
  -- A log that changed all the same: something may be open there now.
  if entry ~= '' then redis.call('HSET', delivery, 'toll', 'wait') end
  again(next_at)
  return 1
end
if held[2] ~= revision then
  -- There is newer to tell: the delivery goes on with it, as if it were new.
  local patience = tonumber(held[7]) - tonumber(held[6])
  redis.call('HSET', delivery, 'attempts', 0, 'created', now,
    'deadline', string.format('%.6f', tonumber(now) + patience))
  redis.call('HDEL', delivery, 'kept')
  again(now)
  return 1
end

local repeated = redis.call('HGET', delivery, 'kept')
if outcome == 'keep' and lives then
  redis.call('HSET', delivery, 'kept', 1, 'attempts', 0, 'deadline', kept_until)
  again(next_at)
elseif outcome ~= 'failed' then
  drop(room, id)
end

-- Of the flush that this delivery belongs to, and of its receiver in it: how did it go?
local function tally(state)
  if not lives or repeated then return false end
  local open = redis.call('HINCRBY', group, 'left:' .. receiver, -1)
  local ok = redis.call('HINCRBY', group, 'ok:' .. receiver, state == 'failed' and 0 or 1)
  local told = redis.call('HMGET', group, 'flushes', 'resolving', 'log_ttl')
  if told[1] == held[4] then
    local waiting = redis.call('HINCRBY', group, 'waiting', -1)
    local failed = redis.call('HINCRBY', group, 'failed', state == 'failed' and 1 or 0)
    -- For good: what was resolved stays in its group, so that the next flush tries again.
    if waiting == 0 and failed == 0 and not any_open(room, group) then
      forget(room, gid, told[2], told[3])
    end
  end
  return state == 'failed' and open <= 0 and ok == 0
end
local failed_wholly = tally(outcome)
if outcome ~= 'failed' then return 1 end

local dead = room .. 'dead'
local letter = id .. ':' .. held[4]
redis.call('HSET', delivery, 'died_at', now)
redis.call('HDEL', delivery, 'lease', 'slot')
redis.call('RENAME', delivery, dead .. ':' .. letter)
redis.call('ZREM', deliveries, id)
redis.call('ZADD', dead, now, letter)
local over = redis.call('ZCARD', dead) - tonumber(dead_letters)
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGE', dead, 0, over - 1)) do
    redis.call('DEL', dead .. ':' .. old)
  end
  redis.call('ZREMRANGEBYRANK', dead, 0, over - 1)
end

if not failed_wholly or #instead == 0 then return 1 end
local addressed, left = redis.call('HGET', group, 'addressed') or '', {}
for _, one in ipairs(instead) do
  -- Its success or failure is no part of the flush: the receiver's own failure stays one.
  address(room, gid, 'instead', now, now, one)
  left[one.receiver] = (left[one.receiver] or 0) + 1
  addressed = addressed .. ' ' .. one.id
end
for name, count in pairs(left) do
  redis.call('HSET', group, 'left:' .. name, count, 'ok:' .. name, 0)
end
redis.call('HSET', group, 'addressed', addressed)
return 2
