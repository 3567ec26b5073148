-- Bring a group's next flush forward to now; one that is under way is followed by another.
-- ARGV: room, group id, now. Returns 0 if there is no such group.
local room, gid = ARGV[1], ARGV[2]
if redis.call('EXISTS', room .. 'group:' .. gid) == 0 then return 0 end
redis.call('HSET', room .. 'group:' .. gid, 'poked', 1)
redis.call('ZADD', room .. 'due', 'LT', ARGV[3], gid)
return 1
