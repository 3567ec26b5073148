-- The effect that brings an alert to a group. `effects` and `push_job` are defined before it.
--
-- a[1] room (key prefix)   a[2] group id      a[3] fingerprint
-- a[4] starts  a[5] updated  a[6] ends ('' while open)  a[7] '1' if the end is assumed
-- a[8] the alert's wire form  a[9] now  a[10] first flush of a new group
-- a[11] when a taken flush comes due again  a[12] most groups there may be (0: any number)
-- a[13] slot  a[14] group key  a[15] group labels  a[16] options of the route
-- a[17] generation of the configuration  a[18] seconds a source is remembered
-- a[19] number of spots at which the alert is a source of inhibition, a[20] ... the spots
-- then the job that flushes this group, present only if its flush may be due at once
do
  local function ending(text)
    return text == '' and math.huge or tonumber(text)
  end

  local KEPT, MOST_ENDS = 86400, 10000

  -- What this script stores and notes, written once at its end; and what it knows of groups.
  local stored, ended, seen = {}, {}, {}

  -- The alerts come first: an end that is noted keeps an alert that is not stored out for good.
  endings[#endings + 1] = function()
    for alerts, texts in pairs(stored) do
      for fp, text in pairs(texts) do redis.call('HSET', alerts, fp, text) end
    end
    for room, noted in pairs(ended) do
      for fp, ends in pairs(noted.of) do redis.call('ZADD', room .. 'ends', ends, fp) end
      redis.call('ZREMRANGEBYSCORE', room .. 'ends', '-inf', noted.from)
      redis.call('ZREMRANGEBYRANK', room .. 'ends', 0, -MOST_ENDS - 1)
    end
  end

  local function stored_alert(alerts, fp)
    return stored[alerts] and stored[alerts][fp] or redis.call('HGET', alerts, fp)
  end

  -- Remember an end: a group may hold the alert under another route, and an older report of it may
  -- still come.
  local function note_end(room, fp, ends, now)
    ended[room] = ended[room] or { of = {} }
    ended[room].of[fp], ended[room].from = ends, now - KEPT
  end

  -- Whether an alert ended after it was reported.
  local function outlived(room, fp, updated)
    local ends = ended[room] and ended[room].of[fp] or redis.call('ZSCORE', room .. 'ends', fp)
    return ends and tonumber(ends) > tonumber(updated)
  end

  -- Say at each of its spots until when the alert is active. What is over stays for a while, so
  -- that a flush which saw it firing does not bring it back.
  local function occupy(a, ends, now)
    for i = 20, 19 + tonumber(a[19]) do
      local source = a[1] .. 'source:' .. a[i]
      redis.call('ZADD', source, ends == '' and '+inf' or ends, a[3])
      redis.call('ZREMRANGEBYSCORE', source, '-inf', now - 3600)
      redis.call('EXPIRE', source, a[18])
    end
  end

  -- Return the head of the stored alert: two reports of one alert whose times overlap are one.
  local function merged(old, starts, updated, ends, timeout, now)
    local o_starts, o_updated, o_ends, o_timeout = string.match(old, '^(%S+) (%S+) (%S*) (%d)\n')
    local older = tonumber(updated) < tonumber(o_updated)
    local s, e = tonumber(starts), ending(ends)
    local os, oe = tonumber(o_starts), ending(o_ends)
    local overlap = (e > os and e < oe) or (s > os and s < oe)
    if not overlap then
      -- A late report of an earlier time does not replace what is known of a later one.
      if older then return nil end
      return starts, updated, ends, timeout
    end
    local first = s < os and starts or o_starts
    if older then
      starts, updated, ends, timeout, o_starts, o_updated, o_ends, o_timeout =
        o_starts, o_updated, o_ends, o_timeout, starts, updated, ends, timeout
      e, oe = oe, e
    end
    if e <= now then
      if oe <= now and oe > e then ends = o_ends end
    elseif oe > e and o_timeout == '0' and (o_ends ~= '' or timeout == '1') then
      -- An end that was stated rules over an earlier one, and no end over an assumed one.
      ends, timeout = o_ends, o_timeout
    end
    return first, updated, ends, timeout, older
  end

  local function store(alerts, a, old, now)
    local starts, updated, ends, timeout, wire = a[4], a[5], a[6], a[7], a[8]
    if old then
      local older
      starts, updated, ends, timeout, older = merged(old, starts, updated, ends, timeout, now)
      if not starts then return string.match(old, '^%S+ %S+ (%S*)') end
      if older then wire = string.match(old, '\n(.*)$') end
    end
    local head = starts .. ' ' .. updated .. ' ' .. ends .. ' ' .. timeout
    stored[alerts] = stored[alerts] or {}
    stored[alerts][a[3]] = head .. '\n' .. wire
    return ends
  end

  effects["alert"] = function(a)
    local room, gid = a[1], a[2]
    local group, alerts, due = room .. 'group:' .. gid, room .. 'alerts:' .. gid, room .. 'due'
    local now, first, job = tonumber(a[9]), tonumber(a[10]), 20 + tonumber(a[19])
    local old = stored_alert(alerts, a[3])
    local known = seen[gid] or redis.call('HMGET', group, 'slot', 'flushes', 'pending')
    local groups = known[1] and 0 or redis.call('ZCARD', due)
    local over = ending(a[6]) <= now
    if over then note_end(room, a[3], a[6], now) end
    -- What is over and was never told of here closes nothing here; nor does it open anything.
    if not old and (over or outlived(room, a[3], a[5])) then return end
    if not known[1] then
      local most = tonumber(a[12])
      if most > 0 and groups >= most then
        redis.call('HINCRBY', room .. 'counters', 'groups_refused', 1)
        return
      end
      redis.call('HSET', group, 'slot', a[13], 'key', a[14], 'labels', a[15], 'options', a[16],
        'created', a[9], 'generation', a[17])
    end
    seen[gid] = { a[13], known[2], known[3] }
    occupy(a, store(alerts, a, old, now), now)
    if known[2] or known[3] then return end
    if first > now then
      if not known[1] then redis.call('ZADD', due, a[10], gid) end
    elseif a[job] then
      redis.call('HSET', group, 'pending', a[9])
      seen[gid][3] = a[9]
      redis.call('ZADD', due, a[11], gid)
      -- A job that is called already takes along what becomes urgent until it begins.
      if redis.call('SET', room .. 'called', 1, 'NX', 'PX', 1000) then
        push_job(a, job)
      else
        redis.call('RPUSH', room .. 'urgent', gid)
      end
    else
      redis.call('ZADD', due, a[9], gid)
    end
  end
end
