-- The room in which effects are defined: the fragments that follow add to it.
local effects = {}
