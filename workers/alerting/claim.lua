-- Begin an attempt at a delivery under a lease; it is counted before anything is sent.
-- ARGV: room, delivery id, now, end of the lease, bucket ('' for none), seconds between two calls,
--       calls at once, seconds that something new waits before it is folded
-- Returns false if it is gone, not due, held, its target rests or its place in line lies ahead,
-- else fence, attempts, revision, 1 if an earlier attempt never came to an outcome, group id,
-- target, deadline, notification, entry of its success, what was told last (or false),
-- 1 if it is to be folded, 1 if it was told before and keeps its alerts alive.
local room, id, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local delivery, deliveries = room .. 'delivery:' .. id, room .. 'deliveries'
local held = redis.call('HMGET', delivery, 'target', 'lease', 'next_at', 'deadline', 'group',
  'slot', 'toll', 'kept', 'created')
if not held[1] then
  redis.call('ZREM', deliveries, id)
  return false
end
if held[2] and tonumber(held[2]) > now then return false end
if held[8] and redis.call('EXISTS', room .. 'group:' .. held[5]) == 0 then
  redis.call('DEL', delivery)
  redis.call('ZREM', deliveries, id)
  return false
end

local function later(at)
  redis.call('ZADD', deliveries, string.format('%.6f', at), id)
  return false
end

local deadline, bucket = tonumber(held[4]), ARGV[5]
local paused = tonumber(redis.call('GET', room .. 'pause:' .. bucket) or 0)
local opens = math.min(math.max(tonumber(held[3]), paused), deadline)
if opens > now then return later(opens) end

-- Take a place in the line of calls; nil if the line is longer than `patience` seconds.
local function place(interval, burst, patience)
  local key = room .. 'bucket:' .. bucket
  local line = math.max(tonumber(redis.call('GET', key) or 0), now)
  local turn = line - (burst - 1) * interval
  if turn - now > patience then return nil end
  line = line + interval
  redis.call('SET', key, string.format('%.6f', line), 'PX', math.ceil((line - now) * 1000) + 1000)
  return turn
end

local fold = 0
if bucket ~= '' and held[7] ~= 'free' and deadline > now then
  local turn = tonumber(held[6])
  if not turn then
    -- What was told, or may have been, has something open there and is never folded.
    local fresh = held[7] == 'fold' and not held[8] and not held[2]
    turn = place(tonumber(ARGV[6]), tonumber(ARGV[7]), fresh and tonumber(ARGV[8]) or math.huge)
    if not turn then
      fold, turn = 1, now
    elseif turn > now then
      redis.call('HSET', delivery, 'slot', string.format('%.6f', turn))
      if turn >= deadline then
        -- Waiting in line is no failure: the time for trying begins with its turn.
        redis.call('HSET', delivery, 'deadline',
          string.format('%.6f', turn + deadline - tonumber(held[9])))
      end
    end
  end
  if turn > now then return later(turn) end
  redis.call('HDEL', delivery, 'slot')
end

local lost = held[2] and 1 or 0
redis.call('HSET', delivery, 'lease', ARGV[4])
redis.call('ZADD', deliveries, ARGV[4], id)
local rest = redis.call('HMGET', delivery, 'revision', 'notification', 'entry', 'attempts',
  'deadline')
local attempts = tonumber(rest[4] or 0)
if fold == 0 then attempts = redis.call('HINCRBY', delivery, 'attempts', 1) end
return {
  redis.call('HINCRBY', delivery, 'fence', 1), attempts, rest[1], lost, held[5], held[1], rest[5],
  rest[2], rest[3], redis.call('HGET', room .. 'log:' .. held[5], held[1]), fold,
  held[8] and 1 or 0,
}
