-- The room in which effects are defined: the fragments that follow add to it. An effect is a
-- function of its arguments; what it returns is its answer, usually nothing.
local effects = {}

-- What effects leave to the end: several of one script write to the same places, and once is enough.
local endings = {}
local function end_effects()
  for _, ending in ipairs(endings) do ending() end
end

-- Run the effects that stand in `a` from position `at` on: their number, then of each its name,
-- how many arguments it has, and these. If they are not wanted, they are passed over.
-- Returns the position after them, and the last answer.
local function run_effects(a, at, wanted)
  local last, answer = at, nil
  for _ = 1, tonumber(a[at]) do
    local name, n = a[last + 1], tonumber(a[last + 2])
    if wanted then answer = effects[name]({ unpack(a, last + 3, last + 2 + n) }) or answer end
    last = last + 2 + n
  end
  return last + 1, answer
end
