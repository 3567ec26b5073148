-- Read what a sweep needs to know of many in-flight events in one round trip.
-- ARGV: prefix, key ...
-- Returns for each: its state (false: no record), job, lease end, queued_at, next_at, generation.
local answers = {}
for i = 2, #ARGV do
  answers[#answers + 1] = redis.call('HMGET', ARGV[1] .. ':event:' .. ARGV[i],
    'state', 'job', 'lease', 'queued_at', 'next_at', 'generation')
end
return answers
