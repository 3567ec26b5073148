-- The effect that counts an event within a sliding window, and runs other effects if the window
-- is full. `effects` and `run_effects` are defined before it. It answers 2 when it ran them.
--
-- a[1] window (sorted set: member -> time)   a[2] member   a[3] its time
-- a[4] seconds that the window spans   a[5] how many members fill it
-- a[6] number of effects, each: name, number of arguments, argument ...; none where the window is
--      known to have been full less than a second of the members' time before
--
-- The window ends at its newest member, so that what arrives late is counted where it belongs.
-- It never holds more members than fill it; the same member again is not counted again. In a storm
-- the other effects run once for each second of the members' time, not for each member.
effects["burst"] = function(a)
  local window, member, span, full = a[1], a[2], tonumber(a[4]), tonumber(a[5])
  redis.call('ZADD', window, a[3], member)
  redis.call('EXPIRE', window, math.ceil(span) + 60)
  redis.call('ZREMRANGEBYRANK', window, 0, -full - 1)
  if a[6] == '0' then return end

  local newest = redis.call('ZRANGE', window, -1, -1, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYSCORE', window, '-inf',
    '(' .. string.format('%.6f', tonumber(newest) - span))
  if redis.call('ZCARD', window) < full or not redis.call('ZSCORE', window, member) then return end

  local raised = window .. ':raised'
  local last = redis.call('GET', raised)
  local ahead = last and tonumber(a[3]) - tonumber(last)
  if ahead and ahead >= 0 and ahead < 1 then return end
  redis.call('SET', raised, a[3], 'EX', math.ceil(span) + 60)
  run_effects(a, 6, true)
  return 2
end
