"""Alert routing: who hears of what, how often, and when it is over."""
