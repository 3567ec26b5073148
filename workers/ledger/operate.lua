-- What operators do, each with its line of history.
--
-- ARGV: prefix, now, actor, action, how much history is kept, detail, then by action:
--   discard-dead        key ...
--   discard-quarantined qkey ...
--   expire-quarantined  qkey ...   (leaves no history: nobody did it)
--   replay-done         key, RQ's set of queues, queue key, job key, job id, number of values, field ...
--   note                subject, action to write down
--   release             qkey, event key, digest, kind, wire, received_at, label,
--                       RQ's set of queues, queue key, job key, job id, number of values, field ...
-- Returns the keys that were acted on.

local P, now, actor, action, KEPT, detail = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local counters = P .. ':counters'

local function note(subject)
  redis.call('XADD', P .. ':history', 'MAXLEN', '~', KEPT, '*', 'at', now,
    'actor', actor, 'action', action, 'subject', subject, 'detail', detail)
end

local function drop_quarantined(key)
  local record = P .. ':quarantined:' .. key
  local held = redis.call('HMGET', record, 'endpoint', 'whole', 'size')
  if not held[1] then return false end
  if held[2] == '1' then
    redis.call('HINCRBY', P .. ':quarantine-held', 'bodies:' .. held[1], -1)
    redis.call('HINCRBY', P .. ':quarantine-held', 'bytes:' .. held[1], -held[3])
  end
  redis.call('ZREM', P .. ':quarantine:' .. held[1], key)
  redis.call('DEL', record)
  return true
end

local function discard_dead(key)
  local record = P .. ':event:' .. key
  local held = redis.call('HMGET', record, 'state', 'kind', 'digest', 'received_at')
  if held[1] ~= 'dead' then return false end
  redis.call('HINCRBY', counters, 'dead_bytes', -redis.call('STRLEN', P .. ':body:' .. key))
  redis.call('ZREM', P .. ':dead:' .. held[2], key)
  redis.call('HINCRBY', counters, 'discarded:' .. held[2], 1)
  redis.call('DEL', record, P .. ':body:' .. key)
  redis.call('HSET', record, 'state', 'discarded', 'digest', held[3], 'kind', held[2], 'at', now)
  redis.call('EXPIRE', record, tonumber(ARGV[#ARGV]))
  return true
end

local function release(qkey, key, digest, kind, wire, received_at, label)
  local record = P .. ':event:' .. key
  if redis.call('EXISTS', record) == 1 or not drop_quarantined(qkey) then return false end
  local fields = {}
  for f = 1, tonumber(ARGV[18]) do fields[f] = ARGV[18 + f] end
  redis.call('HSET', record, 'state', 'inflight', 'digest', digest, 'kind', kind,
    'received_at', received_at, 'label', label, 'job', ARGV[17], 'queued_at', now)
  redis.call('SET', P .. ':body:' .. key, wire)
  redis.call('ZADD', P .. ':inflight:' .. kind, received_at, key)
  redis.call('HINCRBY', counters, 'released:' .. kind, 1)
  redis.call('SADD', ARGV[14], ARGV[15])
  redis.call('HSET', ARGV[16], unpack(fields))
  redis.call('RPUSH', ARGV[15], ARGV[17])
  return true
end

-- A settled event runs once more while its body lives. It counts as released again, and as
-- received now: its age is that of its second life.
local function replay_done(key)
  local record, body = P .. ':event:' .. key, P .. ':body:' .. key
  local held = redis.call('HMGET', record, 'state', 'kind')
  if held[1] ~= 'done' or redis.call('EXISTS', body) == 0 then return false end
  local label = redis.call('HGET', P .. ':outcome:' .. key, 'label') or ''
  local fields = {}
  for f = 1, tonumber(ARGV[12]) do fields[f] = ARGV[12 + f] end
  redis.call('HSET', record, 'state', 'inflight', 'received_at', now, 'label', label,
    'job', ARGV[11], 'queued_at', now)
  redis.call('HDEL', record, 'at')
  redis.call('PERSIST', record)
  redis.call('PERSIST', body)
  redis.call('DEL', P .. ':outcome:' .. key)
  redis.call('ZREM', P .. ':done', key)
  redis.call('ZADD', P .. ':inflight:' .. held[2], now, key)
  redis.call('HINCRBY', counters, 'released:' .. held[2], 1)
  redis.call('SADD', ARGV[8], ARGV[9])
  redis.call('HSET', ARGV[10], unpack(fields))
  redis.call('RPUSH', ARGV[9], ARGV[11])
  return true
end

local done = {}
if action == 'replay-done' then
  if replay_done(ARGV[7]) then
    note(ARGV[7])
    done[1] = ARGV[7]
  end
elseif action == 'release' then
  if release(ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]) then
    note(ARGV[7])
    done[1] = ARGV[8]
  end
elseif action == 'note' then
  action = ARGV[8]
  note(ARGV[7])
else
  local last = action == 'discard-dead' and #ARGV - 1 or #ARGV
  for i = 7, last do
    local act = action == 'discard-dead' and discard_dead or drop_quarantined
    if act(ARGV[i]) then
      if action ~= 'expire-quarantined' then note(ARGV[i]) end
      done[#done + 1] = ARGV[i]
    end
  end
end
return done
