-- Write outcomes and their effects, each only if its fence still holds, then start one event.
--
-- `effects` and `push_job` are defined before this text; see transitions.py.
--
-- ARGV: prefix, now, seconds a settled body lives, seconds of the dedup window,
--       how many settled events stay listed, job id, lease end,
--   number of outcomes, each: key, fence, verdict (done|retry|dead), reason, next_at,
--     number of effects, each: name, number of arguments, argument ...
--   number of renewals, each: key, fence
--   number of starts (0 or 1), each: key, fence
-- Returns: one number per outcome (1 written, 0 the fence was lost), then one per start.

local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local P, now = take(), take()
local BODY_TTL, DEDUP, LISTED = tonumber(take()), tonumber(take()), tonumber(take())
local job, lease = take(), take()
local counters = P .. ':counters'

local function holds(record, fence)
  local held = redis.call('HMGET', record, 'state', 'fence')
  return held[1] == 'inflight' and held[2] == fence
end

local function bury(key, record, reason)
  local kind = redis.call('HGET', record, 'kind')
  redis.call('HSET', record, 'state', 'dead', 'reason', reason, 'died_at', now)
  redis.call('HDEL', record, 'lease', 'next_at')
  redis.call('ZREM', P .. ':inflight:' .. kind, key)
  redis.call('ZADD', P .. ':dead:' .. kind, now, key)
  redis.call('HINCRBY', counters, 'dead_bytes', redis.call('STRLEN', P .. ':body:' .. key))
end

-- What is left of a settled event: a tombstone for the dedup window, its outcome for a day.
local function finish(key, record, reason)
  local held = redis.call('HMGET', record, 'kind', 'digest', 'received_at', 'attempts', 'label')
  local kind = held[1]
  local left = math.max(BODY_TTL, math.floor(tonumber(held[3]) + DEDUP - tonumber(now)))
  redis.call('DEL', record)
  redis.call('HSET', record, 'state', 'done', 'digest', held[2], 'kind', kind, 'at', now)
  redis.call('EXPIRE', record, left)
  redis.call('EXPIRE', P .. ':body:' .. key, BODY_TTL)
  local outcome = P .. ':outcome:' .. key
  redis.call('HSET', outcome, 'received_at', held[3], 'attempts', held[4] or 0,
    'label', held[5] or '', 'reason', reason)
  redis.call('EXPIRE', outcome, BODY_TTL)
  redis.call('ZREM', P .. ':inflight:' .. kind, key)
  redis.call('ZADD', P .. ':done', now, key)
  redis.call('HINCRBY', counters, 'done:' .. kind, 1)
end

local function postpone(key, record, reason, next_at)
  redis.call('HSET', record, 'reason', reason, 'next_at', next_at, 'job', '')
  redis.call('HDEL', record, 'lease')
  redis.call('ZADD', P .. ':retry', next_at, key)
end

local answers = {}
local settled = false

for _ = 1, tonumber(take()) do
  local key, fence, verdict, reason, next_at = take(), take(), take(), take(), take()
  local record = P .. ':event:' .. key
  local mine = holds(record, fence)
  for _ = 1, tonumber(take()) do
    local name, arguments = take(), {}
    for a = 1, tonumber(take()) do arguments[a] = take() end
    if mine then effects[name](arguments) end
  end
  if mine then
    if verdict == 'done' then
      finish(key, record, reason)
      settled = true
    elseif verdict == 'dead' then
      bury(key, record, reason)
    else
      postpone(key, record, reason, next_at)
    end
  end
  answers[#answers + 1] = mine and 1 or 0
end

if settled then redis.call('ZREMRANGEBYRANK', P .. ':done', 0, -LISTED - 1) end

for _ = 1, tonumber(take()) do
  local record, fence = P .. ':event:' .. take(), take()
  if holds(record, fence) then redis.call('HSET', record, 'lease', lease) end
end

for _ = 1, tonumber(take()) do
  local record, fence = P .. ':event:' .. take(), take()
  local mine = holds(record, fence)
  if mine then
    redis.call('HINCRBY', record, 'attempts', 1)
    redis.call('HSET', record, 'lease', lease)
    redis.call('ZADD', P .. ':running', lease, job)
  end
  answers[#answers + 1] = mine and 1 or 0
end

return answers
