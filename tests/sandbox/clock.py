"""A clock that only moves when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Unix seconds that stand still between `advance` calls."""

    def __init__(self, now: float) -> None:
        self._now = now

    def __call__(self) -> float:
        """Return the moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
