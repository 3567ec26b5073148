-- Run effects that belong to no event.
-- ARGV: prefix, number of effects, each: name, number of arguments, argument ...
run_effects(ARGV, 2, true)
end_effects()
return 1
