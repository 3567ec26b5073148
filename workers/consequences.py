"""What follows from a decision: the writes that settle it together with its event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from workers.alert import Alert
from workers.alerting.bursts import burst
from workers.handlers import Burst, Decision, Note
from workers.ledger.transitions import Effect
from workers.rotation.notice import Notice


class RoutesAlerts(Protocol):
    """Whatever turns alerts into the writes that bring them to on-call."""

    def effects(self, alerts: Sequence[Alert], now: float) -> list[Effect]:
        """Return the writes; `now` is in Unix seconds."""
        ...


class Notices(Protocol):
    """Whatever turns what events say of credentials into writes."""

    def effects(self, notices: Sequence[Notice], now: float) -> list[Effect]:
        """Return the writes; `now` is in Unix seconds."""
        ...


def consequences(
    decision: Decision, routing: RoutesAlerts, prefix: str, *, now: float
) -> list[Effect]:
    """Return every write that follows from a decision made at `now` (Unix seconds)."""
    effects = routing.effects(decision.alerts, now)
    if decision.burst is not None:
        effects.append(_counted(decision.burst, routing, prefix, now))
    effects += [noted(note, routing, now=now) for note in decision.notes]
    return effects


def noted(note: Note, routing: RoutesAlerts, *, now: float) -> Effect:
    """Return the write that remembers something, with the alerts that go out if it is taken."""
    if note.alerts is None:
        return Effect(note.name, note.args)
    inner = routing.effects(note.alerts, now)
    parts = [part for effect in inner for part in (effect.name, len(effect.args), *effect.args)]
    return Effect(note.name, (*note.args, len(inner), *parts))


def _counted(found: Burst, routing: RoutesAlerts, prefix: str, now: float) -> Effect:
    """Return the write that counts the event, and tells on-call if it makes a burst."""
    return burst(
        prefix,
        found.of,
        member=found.event_key,
        at=found.received_at,
        window=found.window,
        least=found.least,
        effects=routing.effects(found.alerts, now),
    )
