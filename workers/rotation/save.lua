-- Write a rotation if it still is as it was read, with all that goes along: its deadline, its
-- history, what is known of the credential, the alerts. Or write nothing.
--
-- ARGV: prefix, room (key prefix of rotation), id, state as read, fence as read, record (JSON),
--       due ('' when it has ended), credential, now, most lines of history, most ended rotations,
--   number of lines of history, line ...
--   number of facts of the credential, each: field, value
--   number of incidents that are over, field ...
--   number of effects, each: name, number of arguments, argument ...
-- Returns 1, or 0 when another worker has taken it over.

local cursor = 1
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local room, id, state, fence, record, due, credential, now = take(), take(), take(), take(),
  take(), take(), take(), take()
local LINES, ENDED = tonumber(take()), tonumber(take())

local held = redis.call('GET', room .. 'record:' .. id)
if not held then return 0 end
local before = cjson.decode(held)
if before.state ~= state or before.fence ~= tonumber(fence) then return 0 end

redis.call('SET', room .. 'record:' .. id, record)

local history = room .. 'history:' .. id
for _ = 1, tonumber(take()) do redis.call('RPUSH', history, take()) end
redis.call('LTRIM', history, -LINES, -1)

for _ = 1, tonumber(take()) do
  redis.call('HSET', room .. 'credential:' .. credential, take(), take())
end
for _ = 1, tonumber(take()) do redis.call('HDEL', room .. 'incidents:' .. credential, take()) end

run_effects(ARGV, cursor + 1, true)
end_effects()

if due ~= '' then
  redis.call('ZADD', room .. 'due', due, id)
  return 1
end

redis.call('ZREM', room .. 'due', id)
if redis.call('GET', room .. 'active:' .. credential) == id then
  redis.call('DEL', room .. 'active:' .. credential)
end
redis.call('ZADD', room .. 'ended', now, id)
for _, old in ipairs(redis.call('ZRANGE', room .. 'ended', 0, -ENDED - 1)) do
  redis.call('DEL', room .. 'record:' .. old, room .. 'history:' .. old)
  redis.call('ZREM', room .. 'ended', old)
  redis.call('ZREM', room .. 'all', old)
end
return 1
