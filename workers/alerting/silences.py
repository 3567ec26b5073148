"""Silences: who need not be heard for a while, who said so, and why. Pure.

A silence mutes an alert if any of its sets of matchers does, and a set if all of its matchers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from workers.alerting.matchers import Matcher, MatcherError, Op, text_of

MAX_DURATION: Final = 31 * 86_400.0
"""Seconds for which a silence may last unless the configuration says otherwise."""

MAX_SETS: Final = 16
MAX_MATCHERS: Final = 32
MAX_TEXT: Final = 1_024
"""Characters of an author, a reason, or a matcher's value."""


class State(StrEnum):
    """Where a silence stands in its life."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


class SilenceError(ValueError):
    """The silence is not one that can be; says what to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence; times are Unix seconds, and it ends just before `ends_at`."""

    id: str
    sets: tuple[tuple[Matcher, ...], ...]
    starts_at: float
    ends_at: float
    author: str
    reason: str
    updated_at: float

    def state(self, now: float) -> State:
        """Return where it stands at `now`."""
        if now < self.starts_at:
            return State.PENDING
        return State.ACTIVE if now < self.ends_at else State.EXPIRED

    def mutes(self, labels: Mapping[str, str]) -> bool:
        """Say whether an alert with these labels is meant."""
        return any(all(m.matches(labels) for m in matchers) for matchers in self.sets)

    @property
    def text(self) -> str:
        """What it matches: `{a="1"} or {b="2"}`."""
        return " or ".join(map(text_of, self.sets))

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        stored = {
            "id": self.id,
            "sets": [[[m.name, m.op, m.value] for m in matchers] for matchers in self.sets],
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "author": self.author,
            "reason": self.reason,
            "updated_at": self.updated_at,
        }
        return orjson.dumps(stored)

    @classmethod
    def from_wire(cls, wire: bytes) -> Silence:
        """Read the stored JSON form.

        Raises:
            MatcherError: a regular expression in it is not accepted any more.
        """
        stored: dict[str, Any] = orjson.loads(wire)
        return cls(
            id=stored["id"],
            sets=tuple(
                tuple(Matcher(name, Op(op), value) for name, op, value in matchers)
                for matchers in stored["sets"]
            ),
            starts_at=stored["starts_at"],
            ends_at=stored["ends_at"],
            author=stored["author"],
            reason=stored["reason"],
            updated_at=stored["updated_at"],
        )


def check(silence: Silence, *, now: float, max_duration: float) -> None:
    """Refuse what is no silence, lasts too long, or is over before it begins to count.

    Args:
        silence: what is asked for.
        now: Unix seconds.
        max_duration: how many seconds it may last.

    Raises:
        SilenceError: with the first thing to mend.
    """
    _check_sets(silence.sets)
    _check_words(silence)
    if silence.ends_at < silence.starts_at:
        raise SilenceError("the end is before the start")
    if silence.ends_at <= now:
        raise SilenceError("the end is in the past")
    lasts = silence.ends_at - silence.starts_at
    if lasts > max_duration:
        raise SilenceError(
            f"it would last {lasts / 3600:.0f} h; at most {max_duration / 3600:.0f} h are allowed"
            " (max_silence_duration)"
        )


def _check_sets(sets: Sequence[Sequence[Matcher]]) -> None:
    if not sets:
        raise SilenceError("at least one set of matchers is needed")
    if len(sets) > MAX_SETS or max(map(len, sets)) > MAX_MATCHERS:
        raise SilenceError(f"at most {MAX_SETS} sets of {MAX_MATCHERS} matchers each")
    for matchers in sets:
        if not matchers:
            raise SilenceError("a set of matchers is empty")
        if all(matcher.test("") for matcher in matchers):
            raise SilenceError(
                f"{text_of(matchers)} also matches alerts without these labels, that is all:"
                " at least one matcher must not match the empty text"
            )
        if any(len(matcher.name) + len(matcher.value) > MAX_TEXT for matcher in matchers):
            raise SilenceError(f"a matcher is longer than {MAX_TEXT} characters")


def _check_words(silence: Silence) -> None:
    for name, text in (("author", silence.author), ("reason", silence.reason)):
        if not text.strip():
            raise SilenceError(f"the {name} is missing")
        if len(text) > MAX_TEXT:
            raise SilenceError(f"the {name} is longer than {MAX_TEXT} characters")


def updates_in_place(before: Silence, after: Silence, *, now: float) -> bool:
    """Say whether `after` may take the place of `before` under the same id.

    Never what already counted: another set of alerts, or another start of an active silence,
    is another silence.
    """
    if {frozenset(one) for one in before.sets} != {frozenset(one) for one in after.sets}:
        return False
    match before.state(now):
        case State.ACTIVE:
            return after.starts_at == before.starts_at and after.ends_at >= now
        case State.PENDING:
            return after.starts_at >= now
        case State.EXPIRED:
            return False


def expired(silence: Silence, *, now: float) -> Silence:
    """Return the silence as it is when it is ended at `now`; one that is over stays as it is."""
    match silence.state(now):
        case State.ACTIVE:
            return replace(silence, ends_at=now, updated_at=now)
        case State.PENDING:
            return replace(silence, starts_at=now, ends_at=now, updated_at=now)
        case State.EXPIRED:
            return silence


def read_or_none(wire: bytes) -> Silence | None:
    """Read a stored silence; None for one that cannot be: then its alerts are heard."""
    try:
        return Silence.from_wire(wire)
    except (ValueError, KeyError, TypeError, MatcherError):
        return None
