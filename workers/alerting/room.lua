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
