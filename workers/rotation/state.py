"""The machine as a pure, total table: state and outcome to the next state.

    PLANNED → LOCKED → INTENT → MINTING ┬──────────────────┐
                                        └→ AWAITING_KEY ───┴→ MINTED → PREVERIFIED
    → STORED_PENDING → PROMOTED → RESTARTING … → ROLLED_OUT → VERIFIED → OVERLAP
    → REVOKE_GATE → REVOKING → REVOKED → CONFIRMED → DONE

    PAUSED · ROLLING_BACK → COMPENSATING → ABORTED | ROLLED_BACK | ORPHAN
    BREAK_GLASS → REVOKING → REVOKE_FAILED

A state says what has been reached; its step is the work that leads out of it. A step ends in one
of the outcomes, a person's order is one as well. When a state is looked at again, and how long
that goes on, stands in `pace`. Nothing here reads a clock or a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple


class State(StrEnum):
    """Where a rotation is."""

    PLANNED = "planned"
    LOCKED = "locked"
    INTENT = "intent"
    MINTING = "minting"
    AWAITING_KEY = "awaiting_key"
    MINTED = "minted"
    PREVERIFIED = "preverified"
    STORED_PENDING = "stored_pending"
    PROMOTED = "promoted"
    RESTARTING = "restarting"
    ROLLED_OUT = "rolled_out"
    VERIFIED = "verified"
    OVERLAP = "overlap"
    REVOKE_GATE = "revoke_gate"
    REVOKING = "revoking"
    REVOKED = "revoked"
    CONFIRMED = "confirmed"
    DONE = "done"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    COMPENSATING = "compensating"
    ABORTED = "aborted"
    REVOKE_FAILED = "revoke_failed"
    ORPHAN = "orphan"
    BREAK_GLASS = "break_glass"


class Outcome(StrEnum):
    """How a step ended, or what a person ordered."""

    OK = "ok"
    MORE = "more"
    """Something was noted; the same step goes on at once."""
    WAIT = "wait"
    """Nothing is wrong; look again later."""
    RETRY = "retry"
    """It failed, and may succeed later."""
    SPENT = "spent"
    """The patience with waiting or retrying is used up."""
    FAILED = "failed"
    """It failed for good."""
    HOLD = "hold"
    """It must not go on without a person."""
    LOST = "lost"
    """The new key is in no pending slot: its value is gone."""
    NO_ISSUER = "no_issuer"
    """Nobody but a person can make the key."""
    SEEN = "seen"
    """The new key is already in use: nothing is left to bring out."""
    NEW_DEAD = "new_dead"
    OLD_DEAD = "old_dead"
    SHUT = "shut"
    """The gate is not open any more."""
    SKIP = "skip"
    """There is to be no overlap."""
    BACK = "back"
    """The old key serves again, and the new one is gone."""
    PAUSE = "pause"
    RESUME = "resume"
    ROLL_BACK = "roll_back"
    BREAK_GLASS = "break_glass"


ORDERS: Final = frozenset({Outcome.PAUSE, Outcome.RESUME, Outcome.ROLL_BACK, Outcome.BREAK_GLASS})
"""What only a person decides; `on_failure: rollback` makes the machine order ROLL_BACK too."""

TERMINAL: Final = frozenset({State.DONE, State.ABORTED, State.ROLLED_BACK})
"""Where a rotation ends; its credential is free for the next one."""

_UNTOUCHED: Final = frozenset({State.PLANNED, State.LOCKED, State.INTENT})
"""Nothing was made or changed yet."""

_MAKING: Final = frozenset(
    {
        State.MINTING,
        State.AWAITING_KEY,
        State.MINTED,
        State.PREVERIFIED,
        State.STORED_PENDING,
    }
)
"""A new key exists or may exist, and applications read the old one."""

_SERVING: Final = frozenset(
    {
        State.PROMOTED,
        State.RESTARTING,
        State.ROLLED_OUT,
        State.VERIFIED,
        State.OVERLAP,
        State.REVOKE_GATE,
    }
)
"""Applications get the new key; the old one is untouched, so there is a way back."""

BEFORE_PROMOTION: Final = _UNTOUCHED | _MAKING
WAY_BACK: Final = _SERVING
"""From here the old key can be made current again."""


class Move(NamedTuple):
    """Where an outcome leads; `valid` False: it cannot occur there, or may not be ordered."""

    state: State
    valid: bool = True


_FORWARD: Final[Mapping[State, State]] = {
    State.PLANNED: State.LOCKED,
    State.LOCKED: State.INTENT,
    State.INTENT: State.MINTING,
    State.MINTING: State.MINTED,
    State.AWAITING_KEY: State.MINTED,
    State.MINTED: State.PREVERIFIED,
    State.PREVERIFIED: State.STORED_PENDING,
    State.STORED_PENDING: State.PROMOTED,
    State.PROMOTED: State.RESTARTING,
    State.RESTARTING: State.ROLLED_OUT,
    State.ROLLED_OUT: State.VERIFIED,
    State.VERIFIED: State.OVERLAP,
    State.OVERLAP: State.REVOKE_GATE,
    State.REVOKE_GATE: State.REVOKING,
    State.REVOKING: State.REVOKED,
    State.REVOKED: State.CONFIRMED,
    State.CONFIRMED: State.DONE,
    State.ROLLING_BACK: State.COMPENSATING,
    State.COMPENSATING: State.ABORTED,
    State.REVOKE_FAILED: State.REVOKED,
    State.ORPHAN: State.ABORTED,
    State.BREAK_GLASS: State.REVOKING,
}

_SPECIAL: Final[Mapping[tuple[State, Outcome], State]] = {
    (State.MINTING, Outcome.NO_ISSUER): State.AWAITING_KEY,
    (State.MINTED, Outcome.LOST): State.MINTING,
    (State.PREVERIFIED, Outcome.LOST): State.MINTING,
    (State.STORED_PENDING, Outcome.LOST): State.MINTING,
    (State.AWAITING_KEY, Outcome.SEEN): State.VERIFIED,
    (State.AWAITING_KEY, Outcome.SPENT): State.PAUSED,
    (State.VERIFIED, Outcome.SKIP): State.BREAK_GLASS,
    (State.MINTED, Outcome.NEW_DEAD): State.COMPENSATING,
    (State.STORED_PENDING, Outcome.NEW_DEAD): State.COMPENSATING,
    (State.COMPENSATING, Outcome.BACK): State.ROLLED_BACK,
    (State.ORPHAN, Outcome.BACK): State.ROLLED_BACK,
    (State.REVOKED, Outcome.SPENT): State.REVOKE_FAILED,
    (State.REVOKED, Outcome.FAILED): State.REVOKE_FAILED,
    (State.REVOKING, Outcome.SHUT): State.REVOKE_GATE,
    (State.REVOKING, Outcome.FAILED): State.REVOKE_FAILED,
    (State.REVOKING, Outcome.SPENT): State.REVOKE_FAILED,
    (State.REVOKE_FAILED, Outcome.SHUT): State.REVOKE_GATE,
    (State.REVOKE_FAILED, Outcome.FAILED): State.REVOKE_FAILED,
    (State.CONFIRMED, Outcome.SPENT): State.DONE,
    (State.CONFIRMED, Outcome.FAILED): State.DONE,
    (State.COMPENSATING, Outcome.SPENT): State.ORPHAN,
    (State.COMPENSATING, Outcome.FAILED): State.ORPHAN,
    (State.COMPENSATING, Outcome.HOLD): State.ORPHAN,
    (State.ROLLING_BACK, Outcome.OLD_DEAD): State.PAUSED,
    (State.ORPHAN, Outcome.FAILED): State.ORPHAN,
    (State.OVERLAP, Outcome.OLD_DEAD): State.REVOKED,
    (State.REVOKE_GATE, Outcome.OLD_DEAD): State.REVOKED,
}
"""What is said of one state alone, before the rules that hold for many."""

_NEW_DEAD_IN: Final = _SERVING | {State.REVOKING, State.REVOKED, State.BREAK_GLASS}


def _ordered(state: State, outcome: Outcome) -> Move:
    """Say where a person's order leads from a state that lives."""
    if outcome is Outcome.PAUSE and state is not State.PAUSED:
        return Move(State.PAUSED)
    if outcome is Outcome.ROLL_BACK and state in WAY_BACK:
        return Move(State.ROLLING_BACK)
    if outcome is Outcome.ROLL_BACK and state in BEFORE_PROMOTION:
        return Move(State.COMPENSATING)
    if outcome is Outcome.BREAK_GLASS and state in WAY_BACK:
        return Move(State.BREAK_GLASS)
    return Move(state, valid=False)


def _stepped(state: State, outcome: Outcome) -> Move:
    """Say where a step's outcome leads from a state that lives."""
    if outcome is Outcome.OK and state in _FORWARD:
        return Move(_FORWARD[state])
    if outcome in {Outcome.WAIT, Outcome.RETRY, Outcome.MORE}:
        return Move(state)
    if outcome is Outcome.HOLD and state is not State.PAUSED:
        return Move(State.PAUSED)
    if outcome in {Outcome.FAILED, Outcome.SPENT} and state is not State.PAUSED:
        return Move(State.COMPENSATING if state in _MAKING else State.PAUSED)
    if outcome is Outcome.NEW_DEAD and state in _NEW_DEAD_IN:
        return Move(State.PAUSED)
    # a step that ends in what it cannot end in is a mistake of ours: a person has to look
    return Move(State.PAUSED, valid=False)


def _move(state: State, outcome: Outcome) -> Move:
    if state in TERMINAL:
        return Move(state, valid=False)
    if (state, outcome) in _SPECIAL:
        return Move(_SPECIAL[state, outcome])
    return _ordered(state, outcome) if outcome in ORDERS else _stepped(state, outcome)


TABLE: Final[Mapping[tuple[State, Outcome], Move]] = MappingProxyType(
    {place: _move(*place) for place in product(State, Outcome)}
)
"""Every state with every outcome. RESUME of PAUSED leads back and is answered by `move`."""


def move(state: State, outcome: Outcome, *, back: State | None = None) -> Move:
    """Return where an outcome leads.

    Args:
        state: where the rotation is.
        outcome: how its step ended, or what a person ordered.
        back: where a pause leads back to.
    """
    if state is State.PAUSED and back is not None:
        if outcome is Outcome.RESUME:
            return Move(back)
        if outcome in {Outcome.ROLL_BACK, Outcome.BREAK_GLASS}:
            onward = TABLE[back, outcome]
            return onward if onward.valid else Move(state, valid=False)
    return TABLE[state, outcome]


def back_to(state: State, outcome: Outcome) -> State:
    """Return where a pause leads back to: a new key that died is to be verified anew."""
    verified = {State.VERIFIED, State.OVERLAP, State.REVOKE_GATE, State.BREAK_GLASS}
    return State.ROLLED_OUT if outcome is Outcome.NEW_DEAD and state in verified else state
