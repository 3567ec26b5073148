"""Whole processes, killed and starved while they work."""
