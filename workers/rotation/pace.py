"""How patient each state is: when its step runs again, and when waiting is over. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from workers.rotation.state import State

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 86_400.0
PAGE_BEFORE_EXPIRY: Final = 72 * HOUR


class Rule(NamedTuple):
    """How patient a state is: seconds between attempts (the last repeats), and in all.

    `patience` None: there is no end to it.
    """

    pace: tuple[float, ...]
    patience: float | None


_SHORT: Final = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
_PROPAGATION: Final = (10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 30.0, MINUTE, 2 * MINUTE, 5 * MINUTE)
_REVOCATION: Final = (MINUTE, 300.0, 900.0, HOUR, 4 * HOUR, 12 * HOUR, DAY)

RULES: Final[Mapping[State, Rule]] = MappingProxyType(
    {
        State.PLANNED: Rule((10.0, 10.0, 10.0, 10.0, 10.0, 10 * MINUTE), None),
        State.LOCKED: Rule(_SHORT, HOUR),
        State.INTENT: Rule(_SHORT, HOUR),
        State.MINTING: Rule((MINUTE, 300.0, 1800.0, 2 * HOUR), 3 * HOUR),
        State.AWAITING_KEY: Rule((5 * MINUTE,), 7 * DAY),
        State.MINTED: Rule(_PROPAGATION, 30 * MINUTE),
        State.PREVERIFIED: Rule(_SHORT, 15 * MINUTE),
        State.STORED_PENDING: Rule(_SHORT, 15 * MINUTE),
        State.PROMOTED: Rule(_SHORT, 10 * MINUTE),
        State.RESTARTING: Rule((10.0, 10.0, 10.0, 15.0, 30.0), HOUR),
        State.ROLLED_OUT: Rule(_PROPAGATION, 30 * MINUTE),
        State.VERIFIED: Rule(_SHORT, None),
        State.OVERLAP: Rule((HOUR,), None),
        State.REVOKE_GATE: Rule((MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR), None),
        State.REVOKING: Rule((MINUTE,) * 15 + (15 * MINUTE,), 72 * HOUR),
        State.REVOKED: Rule((MINUTE,), HOUR),
        State.CONFIRMED: Rule(_SHORT, HOUR),
        State.PAUSED: Rule((HOUR,), None),
        State.ROLLING_BACK: Rule((10.0, 10.0, 10.0, 15.0, 30.0), HOUR),
        State.COMPENSATING: Rule((MINUTE,) * 15 + (15 * MINUTE,), DAY),
        State.REVOKE_FAILED: Rule(_REVOCATION, None),
        State.ORPHAN: Rule((DAY,), None),
        State.BREAK_GLASS: Rule((10.0,), 15 * MINUTE),
        State.DONE: Rule((), None),
        State.ABORTED: Rule((), None),
        State.ROLLED_BACK: Rule((), None),
    }
)


def key_deadline(entered_at: float, expires_at: float) -> float:
    """Return by when a person has to have made the new key; all are Unix seconds.

    Three days before the old key expires, if that is known, but never less than a day's notice
    unless the key does not live that long.
    """
    latest = entered_at + (RULES[State.AWAITING_KEY].patience or 0.0)
    if not expires_at:
        return latest
    notice = min(entered_at + DAY, max(expires_at, entered_at + HOUR))
    return min(latest, max(expires_at - PAGE_BEFORE_EXPIRY, notice))


def delay(state: State, attempt: int) -> float:
    """Return the seconds until the next look; attempts count from 1."""
    pace = RULES[state].pace
    return pace[min(max(attempt, 1), len(pace)) - 1]


def spent(state: State, *, entered_at: float, now: float) -> bool:
    """Say whether a state has been waited in for longer than its patience."""
    patience = RULES[state].patience
    return patience is not None and now - entered_at >= patience
