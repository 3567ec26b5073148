"""What each rule of the guard looks for: a case in, the violation in words out. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

from workers.reading import clean
from workers.synap.guard import Case, Options, Unchecked, Verdict
from workers.synap.schema import (
    BUDGET,
    CONFIDENCE,
    DIMENSION,
    FIELDS,
    GRAPH,
    METRIC,
    RETRIEVAL_MODE,
    TTL,
    Absence,
)

KIB: Final = 1024
AVAILABLE: Final = ((8 * KIB, 4 * KIB), (32 * KIB, 16 * KIB), (128 * KIB, 32 * KIB))
"""The checklist's table: what an LLM window leaves for memories at most, in tokens."""

ALL_CATEGORIES: Final = frozenset({"fact", "preference", "episode", "emotion", "temporal_event"})
"""The categories that the API lists where all types are extracted."""

NO_BEFORE: Final = Unchecked("the configuration before it is not known")
_EPSILON: Final = 1e-9

Check = Callable[[Case, Options], Verdict]


def available(window: int) -> int:
    """Return the tokens that an LLM window leaves for memories.

    Between the sizes of the checklist's table that of the smaller one holds; below the smallest
    it shrinks with the window.
    """
    size, room = next((row for row in reversed(AVAILABLE) if row[0] <= window), AVAILABLE[0])
    return room if window >= size else window * room // size


def readable(*paths: str) -> Callable[[Check], Check]:
    """Leave a check out where one of its fields is of another type than documented."""

    def add(check: Check) -> Check:
        @wraps(check)
        def checked(case: Case, options: Options) -> Verdict:
            for path in paths:
                if not case.fields.readable(path):
                    return Unchecked(f"{path} is of another type than documented")
                if case.before is not None and not case.before.readable(path):
                    return Unchecked(f"{path} was of another type than documented before")
            return check(case, options)

        return checked

    return add


@readable(TTL)
def retention_unlimited(case: Case, options: Options) -> Verdict:
    """Look for memories that are kept for ever, or longer than allowed."""
    days, most = case.fields.value(TTL), options["max_days"]
    if days is None or days < 0:
        return "memories are kept without limit"
    if 0 < most < days:
        return f"memories are kept for {days} days, more than the {most:.0f} that are allowed"
    return None


@readable(TTL)
def retention_shortened(case: Case, _: Options) -> Verdict:
    """Look for memories that the next run will delete."""
    if case.before is None:
        return None if case.first else NO_BEFORE
    old, new = case.before.value(TTL), case.fields.value(TTL)
    if new is None or (old is not None and new >= old):
        return None
    if old is None:
        return f"retention was unlimited and is {new} days: all older memories will be deleted"
    return (
        f"retention was shortened from {old} to {new} days: the memories of {old - new} days "
        f"({new} to {old} days old) will be deleted"
    )


@readable(BUDGET)
def context_budget(case: Case, _: Options) -> Verdict:
    """Look for a budget that the LLM's window does not leave."""
    window, budget = case.profile.llm_window, case.fields.value(BUDGET)
    if case.profile.memory_budget is not None:
        room, whose = case.profile.memory_budget, "allowed on this instance"
    elif window is not None:
        room, whose = available(window), f"that an LLM window of {window} tokens leaves"
    else:
        return None
    if budget <= room:
        return None
    return f"the context budget of {budget} tokens is more than the {room} {whose}"


def unreviewed(case: Case, _: Options) -> Verdict:
    """Look for a configuration that nobody approved."""
    if case.reviewed_by is None:
        return Unchecked("its review is not known")
    return None if case.reviewed_by else "it was applied without an approving review"


def self_reviewed(case: Case, _: Options) -> Verdict:
    """Look for an author who approved their own change."""
    if case.reviewed_by is None or case.author is None:
        return Unchecked("its author and its reviewer are not known")
    if not case.reviewed_by or case.reviewed_by != case.author:
        return None
    return f"{clean(case.author)} reviewed their own change"


def immediate(case: Case, _: Options) -> Verdict:
    """Look for a switch in the middle of requests, in production."""
    if not case.profile.production:
        return None
    if case.mode is None:
        return Unchecked("the mode in which it was applied is not known")
    if case.mode.lower() != "immediate":
        return None
    return "it was applied in immediate mode in production"


def defaults(case: Case, _: Options) -> Verdict:
    """Look for defaults in production."""
    if not case.profile.production or case.fields.odd or case.fields.unknown:
        return None
    if all(_is_default(case, field.path, field.default) for field in FIELDS):
        return "production runs the default configuration"
    return None


def _is_default(case: Case, path: str, default: object) -> bool:
    value = case.fields.value(path)
    if default is Absence.GENERATED:
        return True
    if default is Absence.ALL:
        return value is Absence.ALL or set(value) == ALL_CATEGORIES
    return bool(value == default)


@readable(DIMENSION, METRIC)
def vectors(case: Case, _: Options) -> Verdict:
    """Look for vectors that no longer match those stored."""
    if case.before is None:
        return None if case.first else NO_BEFORE
    named = {DIMENSION: "embedding dimension", METRIC: "distance metric"}
    changed = [
        f"the {name} changed from {clean(str(case.before.value(path)), 40)} to "
        f"{clean(str(case.fields.value(path)), 40)}"
        for path, name in named.items()
        if case.before.value(path) != case.fields.value(path)
    ]
    return f"{' and '.join(changed)}: the stored vectors no longer match" if changed else None


@readable(GRAPH)
def graph_off(case: Case, _: Options) -> Verdict:
    """Look for a graph store that is off."""
    if case.fields.value(GRAPH):
        return None
    return "graph storage is off"


@readable(CONFIDENCE)
def confidence(case: Case, options: Options) -> Verdict:
    """Look for a threshold that fell by more than a step."""
    if case.before is None:
        return None if case.first else NO_BEFORE
    old, new = case.before.value(CONFIDENCE), case.fields.value(CONFIDENCE)
    if old - new <= options["step"] + _EPSILON:
        return None
    return f"the confidence threshold fell from {old:g} to {new:g}"


@readable(RETRIEVAL_MODE)
def accurate(case: Case, _: Options) -> Verdict:
    """Look for slow retrieval where users wait."""
    if not case.profile.latency_critical or case.fields.value(RETRIEVAL_MODE) != "accurate":
        return None
    return "retrieval is in accurate mode on a latency-critical instance"


def not_pinned(case: Case, _: Options) -> Verdict:
    """Look for another version than the expected one."""
    if not case.pinned or case.config_id == case.pinned:
        return None
    return f"{clean(case.config_id, 128)} is active, {clean(case.pinned, 128)} is pinned"
