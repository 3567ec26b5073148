"""What an outcome writes into the record, its history and the credential's facts. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from workers.reading import clean
from workers.rotation import pace
from workers.rotation.book import KEPT_DURATIONS, Facts
from workers.rotation.errors import Reason
from workers.rotation.record import Entry, Rotation, stamped
from workers.rotation.state import TERMINAL, Move, Outcome, State, back_to
from workers.rotation.work import Result, hold

ACTOR: Final = "synap-hooks"
"""Who it was when it was no person."""

_UNDOING: Final = frozenset({State.COMPENSATING, State.ROLLING_BACK, State.PAUSED})
_DETAIL_CHARS: Final = 300


def after(held: Rotation, moved: Move, result: Result, now: float) -> Rotation:
    """Return the record after an outcome, without lease, alerts and history."""
    state, changes = moved.state, dict(result.changes)
    if not moved.valid:
        state = State.PAUSED if held.state not in TERMINAL else held.state
        result = hold(Reason.BUG, f"{held.state} cannot end in {result.outcome}")
    elsewhere = state is not held.state
    plain: dict[str, Any] = {
        "state": state,
        "lost": 0,
        "reason": str(result.reason),
        "detail": clean(result.detail, _DETAIL_CHARS),
        "due_at": _due(held, state, result, now),
    }
    if elsewhere or result.fresh:
        plain |= {"entered_at": now, "attempt": 0, "strikes": 0, "strike": ""}
    elif result.outcome in {Outcome.WAIT, Outcome.RETRY}:
        plain["attempt"] = held.attempt + 1
    if elsewhere:
        plain["awaits"] = ""
        plain |= _sideways(held, state, result)
    if state in TERMINAL:
        plain["ended_at"] = now
    return replace(held, **plain | changes)


def _due(held: Rotation, state: State, result: Result, now: float) -> float:
    """Return when to look again: at once in a new state, else as asked or as the pace says."""
    if state is State.PAUSED:
        return now + pace.delay(state, 1)
    if state is not held.state or result.outcome is Outcome.MORE:
        return now + (result.after or 0.0)
    after = result.after if result.after is not None else pace.delay(state, held.attempt + 1)
    return now + max(after, 0.1)


def _sideways(held: Rotation, state: State, result: Result) -> dict[str, Any]:
    """Return what leaving the way, or coming back to it, changes."""
    if state is State.PAUSED:
        return {"back": back_to(held.state, result.outcome), "cause": str(result.reason)}
    if held.state is State.PAUSED and result.outcome is Outcome.RESUME:
        return {"back": None, "cause": "", **_started_anew(held)}
    if state in _UNDOING and held.state not in _UNDOING:
        return {"back": None, "cause": str(result.reason)}
    return {"back": None}


def noted(
    held: Rotation, after: Rotation, result: Result, actor: str, now: float
) -> tuple[Rotation, list[Entry]]:
    """Return the line of history of a write; what only repeats itself leaves none."""
    same = after.state is held.state and result.outcome is not Outcome.MORE
    if same and actor == ACTOR and (after.reason, after.detail) == (held.reason, held.detail):
        return after, []
    entry = Entry(
        at=now,
        actor=actor,
        source=held.state.value,
        target=after.state.value,
        outcome=result.outcome.value,
        reason=str(result.reason),
        detail=clean(result.detail, _DETAIL_CHARS),
        old=after.old,
        new=after.new,
        fence=held.fence,
    )
    bound_to, bound = stamped(after, entry)
    return bound_to, [bound]


def facts(held: Rotation, after: Rotation, known: Facts, now: float) -> dict[str, str | float]:
    """Return what a step taught about the credential itself."""
    if after.state is held.state:
        return {}
    if after.state is State.VERIFIED:
        took = [*known.durations, round(now - held.created_at, 1)][-KEPT_DURATIONS:]
        return {"durations": orjson.dumps(took).decode()}
    if after.state is State.DONE:
        return {
            "rotated_at": now,
            "expires_at": 0,
            "key_id": after.key_id,
            "fingerprint": after.new,
            "client_id": after.client_id,
            "instance_id": after.instance_id,
            "warned": "",
        }
    return {"tried_at": now} if after.state in TERMINAL else {}


def _started_anew(held: Rotation) -> dict[str, int]:
    """Return what lets a wave be started once more: the person who resumes has looked at it."""
    if held.cause not in (Reason.ROLLOUT_UNKNOWN, Reason.ROLLOUT_FAILED):
        return {}
    if held.back is State.ROLLING_BACK:
        return {"back_begun": min(held.back_begun, held.back_wave)}
    return {"begun": min(held.begun, held.wave)}
