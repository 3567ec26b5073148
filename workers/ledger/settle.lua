-- Write outcomes and their effects, each only if its fence still holds, then start others.
--
-- ARGV: prefix, now, seconds a settled body lives, seconds of the dedup window,
--       how many settled events stay listed, job id, lease end, 1 if the job is over,
--   number of outcomes, each: key, fence, verdict (done|retry|dead), reason, next_at,
--     1 if the attempt that was counted is taken back,
--     number of effects, each: name, number of arguments, argument ...
--   number of renewals, each: key, fence
--   number of starts, each: key, fence
-- Returns: one number per outcome (0 the fence was lost, 1 written, or what its effects answered),
-- then one per start.

local now, BODY_TTL, DEDUP, LISTED = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local job, lease, over = ARGV[6], ARGV[7], ARGV[8] == '1'

local cursor = 8
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

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

local finished, listed = {}, {}

-- What is left of a settled event: a tombstone for the dedup window, its outcome for a day.
local function finish(key, record, reason)
  local left = math.max(BODY_TTL, math.floor(record.received_at + DEDUP - tonumber(now)))
  bury(key, record, 'done', now, left)
  redis.call('EXPIRE', body_key(key), BODY_TTL)
  redis.call('SET', outcome_key(key), cjson.encode({ received_at = record.received_at,
    attempts = record.attempts, label = record.label, reason = reason }), 'EX', BODY_TTL)
  local alike = finished[record.kind] or {}
  alike[#alike + 1] = key
  finished[record.kind] = alike
  listed[#listed + 1] = now
  listed[#listed + 1] = key
end

local function postpone(key, record, reason, next_at)
  record.reason, record.next_at, record.job, record.lease = reason, tonumber(next_at), '', nil
  write(key, record)
  redis.call('ZADD', P .. ':retry', next_at, key)
end

-- All effects come before the first event is moved: Lua has no rollback, effects may happen twice.
local outcomes, answers, moved = {}, {}, {}
for o = 1, tonumber(take()) do
  local key, fence, verdict, reason, next_at = take(), take(), take(), take(), take()
  local untried = take() == '1'
  local record = not moved[key] and held_under(key, fence)
  moved[key] = record and true
  local after, answer = run_effects(ARGV, cursor + 1, record)
  cursor = after - 1
  outcomes[o] = { key, record, verdict, reason, next_at, untried }
  answers[o] = record and (answer or 1) or 0
end
end_effects()

for _, outcome in ipairs(outcomes) do
  local key, record, verdict, reason, next_at, untried = unpack(outcome)
  if record then
    if untried then record.attempts = record.attempts - 1 end
    if verdict == 'done' then
      finish(key, record, reason)
    elseif verdict == 'dead' then
      give_up(key, record, reason)
    else
      postpone(key, record, reason, next_at)
    end
  end
end

for kind, keys in pairs(finished) do
  redis.call('ZREM', P .. ':inflight:' .. kind, unpack(keys))
  count('done:' .. kind, #keys)
end
if #listed > 0 then
  redis.call('ZADD', P .. ':done', unpack(listed))
  redis.call('ZREMRANGEBYRANK', P .. ':done', 0, -LISTED - 1)
end

for _ = 1, tonumber(take()) do
  local key, fence = take(), take()
  local record = held_under(key, fence)
  if record then
    record.lease = tonumber(lease)
    write(key, record)
  end
end

local started = false
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

if over then
  redis.call('ZREM', P .. ':running', job)
elseif started then
  redis.call('ZADD', P .. ':running', lease, job)
end
return answers
