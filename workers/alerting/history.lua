-- Keep decisions and the labels of the alerts that they are about; drop what is too old.
-- ARGV: room, most that is kept, oldest entry that is kept (milliseconds), now,
--       seconds for which a last decision is remembered, oldest labels that are kept,
--   number of label sets, each: fingerprint, labels
--   then decisions, each: group id, integration, what it says ('' if it is always news),
--     time (milliseconds), the decision
local room, most, oldest, now, ttl, oldest_labels =
  ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local stream, labels, seen = room .. 'history', room .. 'labels', room .. 'labels:seen'
local cursor = 8 + 2 * tonumber(ARGV[7])

local news = 0
for i = cursor, #ARGV, 5 do
  local decided, integration, said = room .. 'decided:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if said == '' or redis.call('HGET', decided, integration) ~= said then
    redis.call('HSET', decided, integration, said)
    redis.call('EXPIRE', decided, ttl)
    -- Entries carry their own time; where clocks or batches disagree, the order of writing holds.
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    local ahead = last and tonumber(string.match(last[1], '^%d+')) >= tonumber(ARGV[i + 3])
    local id = ahead and string.match(last[1], '^%d+') .. '-*' or ARGV[i + 3] .. '-*'
    redis.call('XADD', stream, 'MAXLEN', most, id, 'r', ARGV[i + 4])
    news = news + 1
  end
end
if news == 0 then return 0 end

for i = 8, cursor - 1, 2 do
  redis.call('HSETNX', labels, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', seen, now, ARGV[i])
end
redis.call('XTRIM', stream, 'MINID', '~', oldest)

local over = redis.call('ZCARD', seen) - most
local gone = redis.call('ZRANGEBYSCORE', seen, '-inf', oldest_labels, 'LIMIT', 0, 1000)
if over > #gone then gone = redis.call('ZRANGE', seen, 0, math.min(over, 1000) - 1) end
if #gone > 0 then
  redis.call('HDEL', labels, unpack(gone))
  redis.call('ZREM', seen, unpack(gone))
end
return news
