-- Write outcomes and their effects, each only if its fence still holds, then start others.
--
-- ARGV: prefix, now, seconds a settled body lives, seconds of the dedup window,
--       how many settled events stay listed, job id, lease end,
--   number of outcomes, each: key, fence, verdict (done|retry|back|dead), reason, next_at,
--     number of effects, each: name, number of arguments, argument ...
--   number of renewals, each: key, fence
--   number of starts, each: key, fence
-- Returns: one number per outcome (1 written, 0 the fence was lost), then one per start.

local cursor = 1
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local now = take()
local BODY_TTL, DEDUP, LISTED = tonumber(take()), tonumber(take()), tonumber(take())
local job, lease = take(), take()

-- Return the record if it is held under this fence.
local function held_under(key, fence)
  local record = read(key)
  return record and record.state == 'inflight' and record.fence == tonumber(fence) and record
end

local function give_up(key, record, reason)
  record.state, record.reason, record.at = 'dead', reason, tonumber(now)
  record.lease, record.next_at = nil, nil
  write(key, record)
  redis.call('ZREM', P .. ':inflight:' .. record.kind, key)
  redis.call('ZADD', P .. ':dead:' .. record.kind, now, key)
  count('dead_bytes', redis.call('STRLEN', body_key(key)))
end

-- What is left of a settled event: a tombstone for the dedup window, its outcome for a day.
local function finish(key, record, reason)
  local left = math.max(BODY_TTL, math.floor(record.received_at + DEDUP - tonumber(now)))
  bury(key, record, 'done', now, left)
  redis.call('EXPIRE', body_key(key), BODY_TTL)
  redis.call('SET', outcome_key(key), cjson.encode({ received_at = record.received_at,
    attempts = record.attempts, label = record.label, reason = reason }), 'EX', BODY_TTL)
  redis.call('ZREM', P .. ':inflight:' .. record.kind, key)
  redis.call('ZADD', P .. ':done', now, key)
end

local function postpone(key, record, reason, next_at)
  record.reason, record.next_at, record.job, record.lease = reason, tonumber(next_at), '', nil
  write(key, record)
  redis.call('ZADD', P .. ':retry', next_at, key)
end

local answers = {}
local finished, started = {}, false

for _ = 1, tonumber(take()) do
  local key, fence, verdict, reason, next_at = take(), take(), take(), take(), take()
  local record = held_under(key, fence)
  for _ = 1, tonumber(take()) do
    local name, arguments = take(), {}
    for a = 1, tonumber(take()) do arguments[a] = take() end
    if record then effects[name](arguments) end
  end
  if record then
    if verdict == 'done' then
      finish(key, record, reason)
      finished[record.kind] = (finished[record.kind] or 0) + 1
    elseif verdict == 'dead' then
      give_up(key, record, reason)
    else
      if verdict == 'back' then record.attempts = record.attempts - 1 end
      postpone(key, record, reason, next_at)
    end
  end
  answers[#answers + 1] = record and 1 or 0
end

if next(finished) then redis.call('ZREMRANGEBYRANK', P .. ':done', 0, -LISTED - 1) end

for _ = 1, tonumber(take()) do
  local key, fence = take(), take()
  local record = held_under(key, fence)
  if record then
    record.lease = tonumber(lease)
    write(key, record)
  end
end

for _ = 1, tonumber(take()) do
  local key, fence = take(), take()
  local record = held_under(key, fence)
  if record then
    record.attempts = (record.attempts or 0) + 1
    record.lease = tonumber(lease)
    write(key, record)
    started = true
  end
  answers[#answers + 1] = record and 1 or 0
end

if started then redis.call('ZADD', P .. ':running', lease, job) end
for kind, times in pairs(finished) do count('done:' .. kind, times) end
return answers
