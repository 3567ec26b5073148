"""Bursts: effects that wait until enough events of a kind came within a time.

    {P}:alerting:burst:{of}          sorted set with expiry: event key -> when it was received
    {P}:alerting:burst:{of}:raised   string with expiry: when it last had its effect

Counting and what follows from it are one write with the settlement of the event: whoever
settles the event that fills the window has its effect, however many workers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workers.alerting.groups import lua
from workers.alerting.keys import room
from workers.ledger.transitions import Effect

NAME: Final = "burst"
REPEAT_SECONDS: Final = 1.0
"""In a storm the effects of a burst happen once in so many seconds of the events' own time."""

_MEMORY: Final = 10_000


class Raised:
    """When this process last had each burst raised: for a second nothing follows from it anew.

    What follows from a burst costs more than all else of an event, and a storm is made of them.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def lately(self, of: str, at: float) -> bool:
        """Say whether nothing may follow from an event of the time `at` (Unix seconds)."""
        return 0 <= at - self._last.get(of, float("-inf")) < REPEAT_SECONDS

    def note(self, of: str, at: float) -> None:
        """Remember that an event of the time `at` (Unix seconds) had its burst raised."""
        if len(self._last) >= _MEMORY:
            self._last.clear()
        self._last[of] = at


def burst(
    prefix: str,
    of: str,
    *,
    member: str,
    at: float,
    window: float,
    least: int,
    effects: Sequence[Effect],
) -> Effect:
    """Return the write that counts an event, and runs `effects` if it makes a burst.

    Args:
        prefix: of every key.
        of: what is counted together.
        member: the event's key, by which it is counted once.
        at: when it was received (Unix seconds).
        window: seconds within which they must come.
        least: how many make a burst.
        effects: what follows from it; none if it was raised lately.
    """
    inner = [part for effect in effects for part in (effect.name, len(effect.args), *effect.args)]
    return Effect(
        NAME,
        (f"{room(prefix)}burst:{of}", member, at, window, least, len(effects), *inner),
    )


def bursts_lua() -> str:
    """Return the fragment that defines the effect `burst`."""
    return lua("bursts.lua")
