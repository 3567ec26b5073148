-- What is remembered with an event's settlement. `effects`, `run_effects`, `count` and `P` are
-- defined before it.
do

-- A configuration became active and was judged, unless a later one was judged already.
--
-- a[1] instance   a[2] when it became active   a[3] configuration   a[4] '1' if no rule fired
-- a[5] its record   a[6] seconds after which a clean one is good
-- a[7] alerts that fire (JSON: fingerprint -> wire)   a[8] alerts that are over (JSON list)
-- a[9] ... inner effects: those alerts
effects["config_applied"] = function(a)
  local state, open = P .. ':synap:config:' .. a[1], P .. ':synap:open:' .. a[1]
  local at = tonumber(a[2])
  local held = redis.call('HMGET', state, 'at', 'config_id', 'clean', 'current')
  if held[1] and tonumber(held[1]) > at then return end
  local proven = held[1] and held[3] == '1' and at - tonumber(held[1]) >= tonumber(a[6])
  if proven and held[2] ~= a[3] then redis.call('HSET', state, 'good', held[4]) end
  redis.call('HSET', state, 'at', a[2], 'config_id', a[3], 'clean', a[4], 'current', a[5])
  for fingerprint, wire in pairs(cjson.decode(a[7])) do
    redis.call('HSET', open, fingerprint, wire)
  end
  for _, fingerprint in ipairs(cjson.decode(a[8])) do redis.call('HDEL', open, fingerprint) end
  run_effects(a, 9, true)
end

-- A retention run ended.
--
-- a[1] watch (instance and scope)   a[2] event   a[3] when   a[4] deleted   a[5] scanned
-- a[6] how many runs are kept   a[7] seconds to keep them
-- a[8] when the next one is overdue ('' if that is not known)   a[9] what the watch is of (JSON)
-- a[10] most watches there may be   a[11] ... effects if it is the latest run
effects["retention_run"] = function(a)
  local runs, due, named = P .. ':synap:runs:' .. a[1], P .. ':synap:overdue', P .. ':synap:watched'
  local added = redis.call('ZADD', runs, a[3], a[2] .. ' ' .. a[4] .. ' ' .. a[5])
  redis.call('ZREMRANGEBYRANK', runs, 0, -tonumber(a[6]) - 1)
  redis.call('EXPIRE', runs, a[7])
  if added == 1 then
    count('retention:deleted', math.floor(tonumber(a[4]) or 0))
    count('retention:scanned', math.floor(tonumber(a[5]) or 0))
    count('retention:runs', 1)
  end
  if a[8] == '' then return end
  local newest = redis.call('ZRANGE', runs, -1, -1, 'WITHSCORES')[2]
  if tonumber(newest) > tonumber(a[3]) then return end
  local known = redis.call('ZSCORE', due, a[1])
  if not known and redis.call('ZCARD', due) >= tonumber(a[10]) then return end
  redis.call('ZADD', due, a[8], a[1])
  redis.call('HSET', named, a[1], a[9])
  run_effects(a, 11, true)
end

-- A run is overdue, and whoever ticks tells it once.
--
-- a[1] watch   a[2] when it was due   a[3] when to look again ('' for never)   a[4] ... effects
effects["retention_overdue"] = function(a)
  local due, named = P .. ':synap:overdue', P .. ':synap:watched'
  local known = redis.call('ZSCORE', due, a[1])
  if not known or tonumber(known) ~= tonumber(a[2]) then return end
  if a[3] == '' then
    redis.call('ZREM', due, a[1])
    redis.call('HDEL', named, a[1])
  else
    redis.call('ZADD', due, a[3], a[1])
  end
  run_effects(a, 4, true)
end

-- The tallies that this script counts in; what changes with each event is written once.
local tallies = {}

local function tally_of(fingerprint)
  local known = tallies[fingerprint]
  if known then return known end
  local name = P .. ':synap:failures:' .. fingerprint
  local first, last, more = unpack(redis.call('HMGET', name, 'first', 'last', 'more'))
  local tally = { name = name, events = name .. ':events', first = first, last = last,
    more = tonumber(more or 0), counted = redis.call('ZCARD', name .. ':events'),
    bare = redis.call('HEXISTS', name, 'alert') == 0 }
  for n, list in ipairs({ ':documents', ':correlations' }) do
    tally[n] = { name = name .. list, held = redis.call('SCARD', name .. list), seen = {} }
  end
  tallies[fingerprint] = tally
  return tally
end

-- All that fail alike have an alert alike: one in a hundred is kept.
-- The tick deletes a tally when its trouble is over; its expiry is for when nobody ticks.
endings[#endings + 1] = function()
  for fingerprint, tally in pairs(tallies) do
    redis.call('ZADD', P .. ':synap:failing', 'GT', tally.over_at, fingerprint)
    redis.call('HSET', tally.name, 'first', tally.first, 'last', tally.last, 'more', tally.more)
    if tally.alert then redis.call('HSET', tally.name, 'alert', tally.alert) end
    if tally.seconds then
      for _, key in ipairs({ tally.name, tally.events, tally[1].name, tally[2].name }) do
        redis.call('EXPIRE', key, tally.seconds)
      end
    end
  end
end

-- An ingestion failed: it counts once in the tally of its alert.
--
-- a[1] tally (the alert's fingerprint)   a[2] event   a[3] when it happened
-- a[4] when the trouble counts as over   a[5] document   a[6] correlation id   a[7] the alert
-- a[8] most events counted by their key   a[9] most documents   a[10] most correlation ids
-- a[11] seconds to keep it
effects["ingestion_failure"] = function(a)
  local tally = tally_of(a[1])
  if tally.bare or (tally.counted + tally.more) % 100 == 0 then
    tally.alert, tally.seconds, tally.bare = a[7], a[11], false
  end
  if tally.counted < tonumber(a[8]) then
    tally.counted = tally.counted + redis.call('ZADD', tally.events, a[3], a[2])
  elseif not redis.call('ZSCORE', tally.events, a[2]) then
    tally.more = tally.more + 1
  end
  tally.first = tally.first and math.min(tally.first, a[3]) or a[3]
  tally.last = tally.last and math.max(tally.last, a[3]) or a[3]
  tally.over_at = tally.over_at and math.max(tally.over_at, a[4]) or a[4]
  for n, list in ipairs(tally) do
    local id = a[4 + n]
    if id ~= '' and not list.seen[id] and list.held < tonumber(a[8 + n]) then
      if list.held == 0 then tally.seconds = a[11] end  -- a new list does not expire by itself
      list.held = list.held + redis.call('SADD', list.name, id)
      list.seen[id] = true
    end
  end
end

-- The trouble of a tally is over, and whoever ticks tells it once.
--
-- a[1] tally   a[2] when it counted as over   a[3] ... effects
effects["ingestion_over"] = function(a)
  local failing, tally = P .. ':synap:failing', P .. ':synap:failures:' .. a[1]
  local known = redis.call('ZSCORE', failing, a[1])
  if not known or tonumber(known) ~= tonumber(a[2]) then return end
  tallies[a[1]] = nil
  redis.call('ZREM', failing, a[1])
  redis.call('DEL', tally, tally .. ':events', tally .. ':documents', tally .. ':correlations')
  run_effects(a, 3, true)
end

end
