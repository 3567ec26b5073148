"""`make demo`: the whole path with real processes, shown as on-call would see it."""
