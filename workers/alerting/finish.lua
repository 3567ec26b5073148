-- End a flush: what is to be told becomes deliveries, at most one for each way of telling.
-- After room.lua and the effects.
--
-- ARGV: room, group id, fence, version of the log as it was read, now, group_interval, time at
--       which an untouched delivery comes due, seconds the log outlives its group, seconds a
--       source is remembered, alerts over as lines of `<fingerprint> <head>`, generation ('' to
--       leave it),
--   number of log entries, each: target, entry
--   number of deliveries to drop, each: id
--   number of deliveries that stay as they are, each: id
--   number of deliveries, each: id, target, receiver, deadline, toll, notification, entry,
--     revision of the open one that says the same (0: none)
--   number of active sources, each: spot, fingerprint, end
--   number of effects, each: name, number of arguments, argument ...
-- Returns 1, or 0 if the fence was lost or the log moved on.
local cursor = 0
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end

local room, gid, fence, told, now, interval, handover, log_ttl, source_ttl, resolving, generation =
  take(), take(), take(), take(), take(), take(), take(), take(), take(), take(), take()
local group, log = room .. 'group:' .. gid, room .. 'log:' .. gid
local held = redis.call('HMGET', group, 'fence', 'told', 'pending')
if held[1] ~= fence then return 0 end
if (held[2] or '0') ~= told then
  -- A delivery was told while this flush was deciding: it has to decide again.
  redis.call('HDEL', group, 'lease')
  redis.call('ZADD', room .. 'due', now, gid)
  return 0
end

local flush = redis.call('HINCRBY', group, 'flushes', 1)
for _ = 1, tonumber(take()) do
  redis.call('HSET', log, take(), take())
end

-- One that a worker is just trying is left to it: its outcome is worth knowing, and the group is
-- kept until it is known, so that what was opened can be closed.
local busy, addressed = 0, {}
for _ = 1, tonumber(take()) do
  local id = take()
  local lease = redis.call('HGET', room .. 'delivery:' .. id, 'lease')
  if lease and tonumber(lease) > tonumber(now) then
    busy = busy + 1
    addressed[#addressed + 1] = id
  else
    drop(room, id)
  end
end
for _ = 1, tonumber(take()) do
  addressed[#addressed + 1] = take()
end

local waiting, left = tonumber(take()), {}
for _ = 1, waiting do
  local one = { id = take(), target = take() }
  local receiver = take()
  one.deadline, one.toll, one.notification, one.entry, one.same =
    take(), take(), take(), take(), take()
  address(room, gid, flush, now, handover, one)
  left[receiver] = (left[receiver] or 0) + 1
  addressed[#addressed + 1] = one.id
end
for receiver, count in pairs(left) do
  redis.call('HSET', group, 'left:' .. receiver, count, 'ok:' .. receiver, 0)
end

for _ = 1, tonumber(take()) do
  local source, fp, ends = room .. 'source:' .. take(), take(), take()
  redis.call('ZADD', source, 'NX', ends == '' and '+inf' or ends, fp)
  redis.call('EXPIRE', source, source_ttl)
end
run_effects(ARGV, cursor + 1, true)
end_effects()

redis.call('HDEL', group, 'pending', 'lease')
if waiting == 0 and busy == 0 and forget(room, gid, resolving, log_ttl) then return 1 end
if generation ~= '' then redis.call('HSET', group, 'generation', generation) end
redis.call('HSET', group, 'waiting', waiting, 'failed', 0, 'resolving', resolving,
  'log_ttl', log_ttl, 'addressed', table.concat(addressed, ' '))
-- Counted from the planned time, so that a slow flush does not push the schedule.
local next_flush = tonumber(held[3]) + tonumber(interval)
if next_flush <= tonumber(now) then next_flush = tonumber(now) + tonumber(interval) end
if busy > 0 or redis.call('HDEL', group, 'poked') == 1 then
  next_flush = math.min(next_flush, tonumber(now) + 1)
end
redis.call('ZADD', room .. 'due', string.format('%.6f', next_flush), gid)
return 1
