-- What operators do, each with its line of history.
--
-- ARGV: prefix, now, actor, action, how much history is kept, detail, then by action:
--   discard-dead        seconds that the identity is remembered, key ...
--   discard-quarantined qkey ...
--   expire-quarantined  qkey ...   (leaves no history: nobody did it)
--   replay-done         key, the job (see push_job)
--   note                subject, action to write down
--   release             qkey, event key, its record (JSON), wire, the job
-- Returns the keys that were acted on.

local now, actor, action, KEPT, detail = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local function note(subject)
  redis.call('XADD', P .. ':history', 'MAXLEN', '~', KEPT, '*', 'at', now,
    'actor', actor, 'action', action, 'subject', subject, 'detail', detail)
end

local function drop_quarantined(key)
  local place = P .. ':quarantined:' .. key
  local held = redis.call('HMGET', place, 'endpoint', 'whole', 'size')
  if not held[1] then return false end
  if held[2] == '1' then
    redis.call('HINCRBY', P .. ':quarantine-held', 'bodies:' .. held[1], -1)
    redis.call('HINCRBY', P .. ':quarantine-held', 'bytes:' .. held[1], -held[3])
  end
  redis.call('ZREM', P .. ':quarantine:' .. held[1], key)
  redis.call('DEL', place)
  return true
end

local function discard_dead(key)
  local record = read(key)
  if not record or record.state ~= 'dead' then return false end
  count('dead_bytes', -redis.call('STRLEN', body_key(key)))
  count('discarded:' .. record.kind, 1)
  redis.call('ZREM', P .. ':dead:' .. record.kind, key)
  redis.call('DEL', body_key(key))
  bury(key, record, 'discarded', now, ARGV[7])
  return true
end

local function take_up(key, record, job_at)
  write(key, record)
  redis.call('ZADD', P .. ':inflight:' .. record.kind, record.received_at, key)
  count('released:' .. record.kind, 1)
  push_job(ARGV, job_at)
end

local function release(qkey, key, text, wire)
  if read(key) or not drop_quarantined(qkey) then return false end
  redis.call('SET', body_key(key), wire)
  take_up(key, cjson.decode(text), 11)
  return true
end

-- A settled event runs once more while its body lives. It counts as released again, and as
-- received now: its age is that of its second life.
local function replay_done(key)
  local record = read(key)
  if not record or record.state ~= 'done' then return false end
  if redis.call('EXISTS', body_key(key)) == 0 then return false end
  local outcome = redis.call('GET', outcome_key(key))
  record.state, record.received_at, record.at = 'inflight', tonumber(now), nil
  record.label = outcome and cjson.decode(outcome).label or ''
  record.job, record.queued_at = ARGV[11], tonumber(now)
  redis.call('PERSIST', body_key(key))
  redis.call('DEL', outcome_key(key))
  redis.call('ZREM', P .. ':done', key)
  take_up(key, record, 8)
  return true
end

local done = {}
local function each(first, act)
  for i = first, #ARGV do
    if act(ARGV[i]) then
      if action ~= 'expire-quarantined' then note(ARGV[i]) end
      done[#done + 1] = ARGV[i]
    end
  end
end

if action == 'note' then
  action = ARGV[8]
  note(ARGV[7])
elseif action == 'release' then
  if release(ARGV[7], ARGV[8], ARGV[9], ARGV[10]) then
    note(ARGV[7])
    done[1] = ARGV[8]
  end
elseif action == 'replay-done' then
  if replay_done(ARGV[7]) then
    note(ARGV[7])
    done[1] = ARGV[7]
  end
elseif action == 'discard-dead' then
  each(8, discard_dead)
else
  each(7, drop_quarantined)
end
return done
