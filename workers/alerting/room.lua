-- What the scripts of deliveries and flushes share. `room` is the key prefix of alerting.

-- Forget the alerts that a flush told the end of, unless they changed since; forget the group
-- when it is empty. `resolving` holds lines of `<fingerprint> <head>`. Returns whether it is gone.
local function forget(room, gid, resolving, log_ttl)
  local alerts = room .. 'alerts:' .. gid
  for fp, head in string.gmatch(resolving, '(%S+) ([^\n]*)\n') do
    local held = redis.call('HGET', alerts, fp)
    if held and string.match(held, '^([^\n]*)\n') == head then
      redis.call('HDEL', alerts, fp)
    end
  end
  if redis.call('EXISTS', alerts) == 1 then return false end
  redis.call('DEL', room .. 'group:' .. gid)
  redis.call('ZREM', room .. 'due', gid)
  redis.call('EXPIRE', room .. 'log:' .. gid, log_ttl)
  return true
end

local function drop(room, id)
  redis.call('DEL', room .. 'delivery:' .. id)
  redis.call('ZREM', room .. 'deliveries', id)
end

-- Whether any delivery of a group is still on its way: the group is kept while one is, so that
-- what it opens can be closed.
local function any_open(room, group)
  for id in string.gmatch(redis.call('HGET', group, 'addressed') or '', '%S+') do
    if redis.call('EXISTS', room .. 'delivery:' .. id) == 1 then return true end
  end
  return false
end

-- Have a target told. A delivery that is still open takes the newer news and keeps its deadline;
-- one that says the same already goes on under its own id, since it may have arrived; one that was
-- taken and only keeps its alerts alive begins anew.
local function address(room, gid, flush, now, again, one)
  local delivery = room .. 'delivery:' .. one.id
  local held = redis.call('HMGET', delivery, 'created', 'kept', 'revision')
  if held[3] and held[3] == one.same then
    redis.call('HSET', delivery, 'flush', flush)
    return
  end
  redis.call('HSET', delivery, 'group', gid, 'flush', flush, 'notification', one.notification,
    'entry', one.entry, 'toll', one.toll)
  redis.call('HINCRBY', delivery, 'revision', 1)
  if held[1] and not held[2] then return end
  redis.call('HSET', delivery, 'target', one.target, 'created', now, 'deadline', one.deadline,
    'next_at', now, 'attempts', 0)
  redis.call('HDEL', delivery, 'kept', 'slot')
  redis.call('ZADD', room .. 'deliveries', again, one.id)
end
