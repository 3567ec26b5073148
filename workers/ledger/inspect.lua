-- Read what a sweep needs to know of many events in one round trip.
-- ARGV: prefix, key ...
-- Returns for each: its state (false: no record), job, lease end, queued_at, next_at, generation;
-- what is not set is false.
local answers = {}
for i = 2, #ARGV do
  local record = read(ARGV[i])
  local row = { false, false, false, false, false, false }
  if record then
    for f, field in ipairs({ 'state', 'job', 'lease', 'queued_at', 'next_at', 'generation' }) do
      row[f] = record[field] ~= nil and tostring(record[field]) or false
    end
  end
  answers[#answers + 1] = row
end
return answers
