-- Run effects that belong to no event.
-- ARGV: prefix, number of effects, each: name, number of arguments, argument ...
local cursor = 2
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end
for _ = 1, tonumber(ARGV[2]) do
  local name, arguments = take(), {}
  for a = 1, tonumber(take()) do arguments[a] = take() end
  effects[name](arguments)
end
return 1
