"""The suite, the demo and the bench; a package, so that no other `tests` is found first."""
