-- Run effects that belong to no event.
-- ARGV: number of effects, each: name, number of arguments, argument ...
local cursor = 1
local function take()
  cursor = cursor + 1
  return ARGV[cursor]
end
for _ = 1, tonumber(ARGV[1]) do
  local name, arguments = take(), {}
  for a = 1, tonumber(take()) do arguments[a] = take() end
  effects[name](arguments)
end
return 1
