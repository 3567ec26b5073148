"""Bursts: effects that wait until enough events of a kind came within a time.

    {P}:alerting:burst:{of}          sorted set with expiry: event key -> when it was received
    {P}:alerting:burst:{of}:raised   string with expiry: when it last had its effect

Counting and what follows from it are one write with the settlement of the event: whoever
settles the event that fills the window has its effect, however many workers there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from workers.alerting.groups import lua
from workers.alerting.keys import room
from workers.ledger.transitions import Effect


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
        effects: what follows from it.
    """
    inner = [part for effect in effects for part in (effect.name, len(effect.args), *effect.args)]
    return Effect(
        "burst",
        (f"{room(prefix)}burst:{of}", member, at, window, least, len(effects), *inner),
    )


def bursts_lua() -> str:
    """Return the fragment that defines the effect `burst`."""
    return lua("bursts.lua")
