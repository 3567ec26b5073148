"""What the tick looks after for Synap's sake: troubles that are over, runs that never came.

Each is told in one write that first checks that nobody else told it: two ticks tell it once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from workers.consequences import RoutesAlerts, noted
from workers.handlers import Note, Policy
from workers.handlers.ingestion_failed import over
from workers.handlers.retention_habit import REMINDED_TIMES, silence
from workers.ledger.transitions import Ledger
from workers.synap.book import Book

REMINDED_FOR: Final = 12
"""After so many usual intervals without a run nobody waits for one any more."""


class Rounds:
    """The tick's errands; times are Unix seconds."""

    def __init__(
        self, book: Book, ledger: Ledger, routing: RoutesAlerts, policy: Callable[[], Policy]
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._routing = routing
        self._policy = policy

    def sum_up(self, now: float) -> int:
        """End the alerts of ingestion troubles that are over, with what failed; return how many."""
        tallies = self._book.over(now)
        for tally in tallies:
            note = Note("ingestion_over", (tally.id, _exact(tally.over_at)), (over(tally),))
            self._ledger.apply([noted(note, self._routing, now=now)])
        return len(tallies)

    def miss(self, now: float) -> int:
        """Alert for retention runs that are overdue; return how many."""
        overdue = self._book.overdue(now)
        for watch_id, due_at, watch in overdue:
            again = due_at + REMINDED_TIMES * watch.interval
            waited = now - watch.last > REMINDED_FOR * watch.interval
            alert = silence(watch, self._policy().retention, now=now)
            args = (watch_id, _exact(due_at), "" if waited else _exact(max(again, now + 1)))
            note = Note("retention_overdue", args, (alert,))
            self._ledger.apply([noted(note, self._routing, now=now)])
        return len(overdue)


def _exact(moment: float) -> str:
    """Return a moment so that a script reads the very same number."""
    return repr(moment)
