"""What follows from a decision: the writes that settle it together with its event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from workers.alert import Alert
from workers.alerting.bursts import Raised, burst
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


class Consequences:
    """Says what follows from decisions; keys stand under `prefix`."""

    def __init__(self, routing: RoutesAlerts, notices: Notices | None, prefix: str) -> None:
        self._routing = routing
        self._notices = notices
        self._prefix = prefix
        self._raised = Raised()

    def of(self, decision: Decision, now: float) -> list[Effect]:
        """Return every write that follows from a decision made at `now` (Unix seconds)."""
        effects = self._routing.effects(decision.alerts, now)
        if decision.burst is not None:
            effects.append(self._counted(decision.burst, now))
        effects += [noted(note, self._routing, now=now) for note in decision.notes]
        if self._notices is not None and decision.notices:
            effects += self._notices.effects(decision.notices, now)
        return effects

    def raised(self, burst: Burst) -> None:
        """Take note that an event had its burst raised."""
        self._raised.note(burst.of, burst.received_at)

    def _counted(self, found: Burst, now: float) -> Effect:
        """Return the write that counts the event, and tells on-call if it makes a burst."""
        lately = self._raised.lately(found.of, found.received_at)
        return burst(
            self._prefix,
            found.of,
            member=found.event_key,
            at=found.received_at,
            window=found.window,
            least=found.least,
            effects=[] if lately else self._routing.effects(found.alerts(), now),
        )


def noted(note: Note, routing: RoutesAlerts, *, now: float) -> Effect:
    """Return the write that remembers something, with the alerts that go out if it is taken."""
    if note.alerts is None:
        return Effect(note.name, note.args)
    inner = routing.effects(note.alerts, now)
    parts = [part for effect in inner for part in (effect.name, len(effect.args), *effect.args)]
    return Effect(note.name, (*note.args, len(inner), *parts))
