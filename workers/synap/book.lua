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

-- An ingestion failed: it counts once in the tally of its alert.
--
-- a[1] tally (the alert's fingerprint)   a[2] event   a[3] when it happened
-- a[4] when the trouble counts as over   a[5] document   a[6] correlation id   a[7] the alert
-- a[8] most events counted by their key   a[9] most documents   a[10] most correlation ids
-- a[11] seconds to keep it
effects["ingestion_failure"] = function(a)
  local tally = P .. ':synap:failures:' .. a[1]
  local events, lists = tally .. ':events', { tally .. ':documents', tally .. ':correlations' }
  redis.call('ZADD', P .. ':synap:failing', 'GT', a[4], a[1])
  local first, last, more = unpack(redis.call('HMGET', tally, 'first', 'last', 'more'))
  local counted = redis.call('ZCARD', events)
  local before = counted + (more or 0)
  if counted < tonumber(a[8]) then
    redis.call('ZADD', events, a[3], a[2])
  elseif not redis.call('ZSCORE', events, a[2]) then
    more = (more or 0) + 1
  end
  first = first and math.min(first, a[3]) or a[3]
  last = last and math.max(last, a[3]) or a[3]
  redis.call('HSET', tally, 'first', first, 'last', last, 'more', more or 0)
  for n, list in ipairs(lists) do
    local id = a[4 + n]
    if id ~= '' and redis.call('SCARD', list) < tonumber(a[8 + n]) then
      redis.call('SADD', list, id)
    end
  end
  -- All that fail alike have an alert alike: one in a hundred is kept.
  -- The tick deletes a tally when its trouble is over; its expiry is for when nobody ticks.
  if before % 100 == 0 then
    redis.call('HSET', tally, 'alert', a[7])
    for _, key in ipairs({ tally, events, lists[1], lists[2] }) do
      redis.call('EXPIRE', key, a[11])
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
  redis.call('ZREM', failing, a[1])
  redis.call('DEL', tally, tally .. ':events', tally .. ':documents', tally .. ':correlations')
  run_effects(a, 3, true)
end

end
