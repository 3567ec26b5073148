"""One canonical line and a handful of counts per request, paid for once per batch.

Requests that are answered in the same turn of the event loop (those of one commit, mostly) are
counted together and their lines leave in one write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from receiver.errors import Flaw
from receiver.event import Event, kind_of
from receiver.logs import Lines
from receiver.metrics import Metrics
from receiver.web.problems import ACCEPTED, DUPLICATE, INTERNAL_ERROR, QUARANTINED, Answer

MAX_ID_CHARS: Final = 128


class Entry:
    """What is known about a request by the time it is answered; `seconds` since its headers."""

    __slots__ = ("answer", "endpoint", "event", "flaw", "label", "seconds", "size")

    def __init__(self) -> None:
        self.answer: Answer = INTERNAL_ERROR
        self.endpoint: str | None = None
        self.label: str | None = None
        self.event: Event | None = None
        self.flaw: Flaw | None = None
        self.size = 0
        self.seconds = 0.0


_Alike = tuple[Answer, str | None, str | None, str | None, Flaw | None]
"""What requests that are counted together share: answer, endpoint, key label, kind, flaw."""


class Journal:
    """Counts and logs answered requests, a batch at a time."""

    def __init__(
        self, metrics: Metrics, lines: Lines, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._lines = lines
        self._clock = clock
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Take an answered request; it is counted and logged before the loop's next turn ends."""
        if not self._entries:
            asyncio.get_running_loop().call_soon(self.flush)
        self._entries.append(entry)

    def flush(self) -> None:
        """Count and log what was taken."""
        entries, self._entries = self._entries, []
        self._metrics.request_seconds.observe([entry.seconds for entry in entries])
        alike: dict[_Alike, int] = {}
        records = []
        for entry in entries:
            event = entry.event
            kind = None if event is None else kind_of(event.type)
            group = (entry.answer, entry.endpoint, entry.label, kind, entry.flaw)
            alike[group] = alike.get(group, 0) + 1
            records.append(_record(entry, kind))
        for group, count in alike.items():
            self._count(group, count)
        self._lines.write("request.answered", self._clock(), records)

    def _count(self, group: _Alike, count: int) -> None:
        answer, endpoint, label, kind, flaw = group
        metrics = self._metrics
        metrics.answered.labels(str(answer.status), answer.reason).inc(count)
        if label is not None:
            metrics.verified.labels(endpoint, label).inc(count)
        if answer is ACCEPTED:
            metrics.accepted.labels(kind).inc(count)
        elif answer is DUPLICATE:
            metrics.duplicates.labels(kind).inc(count)
        elif answer is QUARANTINED and flaw is not None:
            metrics.quarantined.labels(flaw.value).inc(count)


def _record(entry: Entry, kind: str | None) -> dict[str, Any]:
    """Render what is known; a stranger's strings (paths, unproven ids) are not."""
    answer, event = entry.answer, entry.event
    record: dict[str, Any] = {"status": answer.status, "reason": answer.reason}
    if entry.label is not None:
        record["endpoint"] = entry.endpoint
        record["key"] = entry.label
    if event is not None:
        record["type"] = kind
        record["event_id"] = event.id[:MAX_ID_CHARS]
        record["correlation_id"] = event.correlation_id
        record["instance_id"] = event.instance_id
    if entry.flaw is not None:
        record["flaw"] = entry.flaw
    record["bytes"] = entry.size
    record["duration_ms"] = round(entry.seconds * 1000, 3)
    return record
