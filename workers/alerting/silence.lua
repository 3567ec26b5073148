-- Write silences if nobody wrote since they were read.
-- ARGV: hash, version as it was read ('' for none), version to write, number of silences that go,
--       id ..., then id, silence ...
-- Returns 1, or 0 if somebody was faster.
local key = ARGV[1]
if (redis.call('HGET', key, 'version') or '') ~= ARGV[2] then return 0 end
local first = 5 + tonumber(ARGV[4])
for i = 5, first - 1 do redis.call('HDEL', key, ARGV[i]) end
for i = first, #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', key, 'version', ARGV[3])
return 1
