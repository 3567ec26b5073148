-- The effect that begins a rotation, or tells the one that is under way of another reason for it.
-- `effects` is defined before it.
--
-- a[1] room (key prefix)  a[2] credential  a[3] id  a[4] record (JSON)  a[5] first line of history
-- a[6] now  a[7] '1' to begin, '0' to note only
-- a[8] when the reason arose: one that is older than the last rotation's end is over
-- a[9] the incident's labels (JSON) that close with the rotation, '' for none
-- a[10] when the credential expires, '0' if that is not known
do
  effects["rotate"] = function(a)
    local room, credential, id, now = a[1], a[2], a[3], a[6]
    local facts, active = room .. 'credential:' .. credential, room .. 'active:' .. credential
    local known = redis.call('HMGET', facts, 'rotated_at', 'reported_at')
    local held = redis.call('EXISTS', active) == 1
    redis.call('HSETNX', facts, 'seen_at', now)
    if tonumber(a[8]) <= tonumber(known[1] or '0') then return end
    if a[9] ~= '' then
      redis.call('HSET', room .. 'incidents:' .. credential, a[9], a[8])
    end
    if tonumber(a[10]) > 0 and tonumber(a[8]) >= tonumber(known[2] or '0') then
      redis.call('HSET', facts, 'expires_at', a[10], 'reported_at', a[8])
    end
    if a[7] ~= '1' or held then return end
    redis.call('SET', active, id)
    redis.call('SET', room .. 'record:' .. id, a[4])
    redis.call('RPUSH', room .. 'history:' .. id, a[5])
    redis.call('ZADD', room .. 'all', now, id)
    redis.call('ZADD', room .. 'due', now, id)
  end
end
