-- The effect that counts an event within a sliding window, and runs other effects if the window
-- is full. `effects`, `run_effects` and the effect `alert` are defined before it. It answers 2 when
-- it ran them.
--
-- a[1] window (sorted set: member -> time)   a[2] member   a[3] its time
-- a[4] seconds that the window spans   a[5] how many members fill it
-- a[6] number of effects, each: name, number of arguments, argument ...; none where the window is
--      known to have been full less than a second of the members' time before
--
-- The window ends at its newest member, so that what arrives late is counted where it belongs.
-- It never holds more members than fill it; the same member again is not counted again. In a storm
-- the other effects run once for each second of the members' time, not for each member. What is
-- counted is written when somebody looks at the window, or when the script ends.
do

local windows = {}

local function close(name, window)
  if #window.members > 0 then redis.call('ZADD', name, unpack(window.members)) end
  window.members = {}
  redis.call('ZREMRANGEBYRANK', name, 0, -window.full - 1)
end

-- It comes after that of `alert`: a burst that is noted as raised has its alert.
endings[#endings + 1] = function()
  for name, window in pairs(windows) do
    close(name, window)
    redis.call('EXPIRE', name, window.seconds)
    if window.raised then
      redis.call('SET', name .. ':raised', window.raised, 'EX', window.seconds)
    end
  end
end

effects["burst"] = function(a)
  local name, member, span = a[1], a[2], tonumber(a[4])
  local window = windows[name] or { members = {} }
  windows[name], window.full, window.seconds = window, tonumber(a[5]), math.ceil(span) + 60
  window.members[#window.members + 1] = a[3]
  window.members[#window.members + 1] = member
  if a[6] == '0' then return end

  close(name, window)
  local newest = redis.call('ZRANGE', name, -1, -1, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYSCORE', name, '-inf',
    '(' .. string.format('%.6f', tonumber(newest) - span))
  if redis.call('ZCARD', name) < window.full then return end
  if not redis.call('ZSCORE', name, member) then return end

  local last = window.raised or redis.call('GET', name .. ':raised')
  local ahead = last and tonumber(a[3]) - tonumber(last)
  if ahead and ahead >= 0 and ahead < 1 then return end
  window.raised = a[3]
  run_effects(a, 6, true)
  return 2
end

end
