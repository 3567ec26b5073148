"""Everything that handlers ask, in one hand: Synap's API, and what is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from workers.synap.answers import Configuration
from workers.synap.book import Book
from workers.synap.client import Client
from workers.synap.errors import ApiError
from workers.synap.inspector import NO_KEY, Inspector
from workers.synap.records import Inspection, Known, Question, Record
from workers.synap.runs import Run

ACTIVE_FRESH: Final = 60.0
"""Seconds for which an active configuration, or that it cannot be read, is believed."""

_MEMORY: Final = 1_000


class Lookup:
    """Answers handlers; never raises for what Synap answers or does not."""

    def __init__(
        self,
        client: Client,
        book: Book,
        inspector: Inspector,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._book = book
        self._inspector = inspector
        self._clock = clock
        self._active: dict[str, tuple[float, Known]] = {}

    def inspect(self, asked: Question, *, deadline: float) -> Inspection:
        """Look a configuration up and judge it; `deadline` is in Unix seconds."""
        return self._inspector.inspect(asked, deadline=deadline)

    def latest_change(self, instance_id: str) -> Record | None:
        """Return which configuration became active last."""
        return self._book.latest_change(instance_id)

    def runs(self, instance_id: str, scope: str) -> tuple[Run, ...]:
        """Return the last retention runs of an instance and scope, oldest first."""
        return self._book.runs(instance_id, scope)

    def active(self, instance_id: str, *, deadline: float) -> Known:
        """Return the active configuration as of a minute ago at most, or why it is not known."""
        read_at, known = self._active.get(instance_id, (float("-inf"), Known()))
        if self._clock() - read_at < ACTIVE_FRESH:
            return known
        if len(self._active) >= _MEMORY:
            self._active.clear()
        found = self._ask(instance_id, deadline)
        self._active[instance_id] = (self._clock(), found)
        return found

    def _ask(self, instance_id: str, deadline: float) -> Known:
        if not self._client.configured(instance_id):
            return Known(why=NO_KEY)
        try:
            active: Configuration = self._client.active(instance_id, deadline=deadline)
        except ApiError as error:
            return Known(why=str(error))
        return Known(active)
