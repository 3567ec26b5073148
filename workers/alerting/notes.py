"""What one job decided, handed to the history at its end in one write."""

from __future__ import annotations

from collections.abc import Sequence

from workers.alerting.ports import History, Record


class Notes:
    """A history that waits; what a worker dies with before its end is not remembered."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._records: list[Record] = []

    def record(self, records: Sequence[Record]) -> None:
        """Keep these records until they are handed over."""
        self._records += records

    def hand_over(self) -> None:
        """Hand over all that was kept."""
        records, self._records = self._records, []
        if records:
            self._history.record(records)
