"""One canonical line and a handful of counts per request, paid for once per batch.

Requests that are answered in the same turn of the event loop (those of one commit, mostly) are
counted together and their lines leave in one write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from receiver.errors import Flaw
from receiver.event import Event, kind_of
from receiver.logs import Lines
from receiver.metrics import Metrics
from receiver.web.problems import ACCEPTED, DUPLICATE, INTERNAL_ERROR, QUARANTINED, Answer

MAX_ID_CHARS: Final = 128


class Entry:
    """What is known about a request by the time it is answered.

    Args:
        began: when its headers were there, by the performance counter; `seconds` count from then.
    """

    __slots__ = ("answer", "began", "endpoint", "event", "flaw", "label", "seconds", "size")

    def __init__(self, began: float) -> None:
        self.began = began
        self.answer: Answer = INTERNAL_ERROR
        self.endpoint: str | None = None
        self.label: str | None = None
        self.event: Event | None = None
        self.flaw: Flaw | None = None
        self.size = 0
        self.seconds = 0.0


_Alike = tuple[Answer, str | None, str | None, str | None, Flaw | None]
"""What requests that are counted together share: answer, endpoint, key label, kind, flaw."""


class _Tally:
    """The counters that move with each request of a kind, and the fields that such lines share.

    Looking a counter up by its labels costs more than counting; there are few kinds of request.
    """

    __slots__ = ("_counters", "shared")

    def __init__(self, metrics: Metrics, alike: _Alike) -> None:
        answer, endpoint, label, kind, flaw = alike
        self.shared: dict[str, Any] = {"status": answer.status, "reason": answer.reason}
        self._counters = [metrics.answered.labels(str(answer.status), answer.reason)]
        if label is not None:
            self.shared |= {"endpoint": endpoint, "key": label}
            self._counters.append(metrics.verified.labels(endpoint, label))
        if kind is not None:
            self.shared["type"] = kind
        if flaw is not None:
            self.shared["flaw"] = flaw
        if answer is ACCEPTED:
            self._counters.append(metrics.accepted.labels(kind))
        elif answer is DUPLICATE:
            self._counters.append(metrics.duplicates.labels(kind))
        elif answer is QUARANTINED and flaw is not None:
            self._counters.append(metrics.quarantined.labels(flaw.value))

    def add(self, count: int) -> None:
        """Count so many requests."""
        for counter in self._counters:
            counter.inc(count)


class Journal:
    """Counts and logs answered requests, a batch at a time."""

    def __init__(
        self, metrics: Metrics, lines: Lines, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._lines = lines
        self._clock = clock
        self._entries: list[Entry] = []
        self._tallies: dict[_Alike, _Tally] = {}

    def add(self, entry: Entry) -> None:
        """Take an answered request; it is counted and logged before the loop's next turn ends."""
        if not self._entries:
            asyncio.get_running_loop().call_soon(self.flush)
        self._entries.append(entry)

    def flush(self) -> None:
        """Count and log what was taken."""
        entries, self._entries = self._entries, []
        self._metrics.request_seconds.observe([entry.seconds for entry in entries])
        groups: dict[_Alike, list[Mapping[str, Any]]] = {}
        for entry in entries:
            event = entry.event
            kind = None if event is None else kind_of(event.type)
            alike = (entry.answer, entry.endpoint, entry.label, kind, entry.flaw)
            records = groups.get(alike)
            if records is None:
                records = groups[alike] = []
            records.append(_record(entry))
        now = self._clock()
        for alike, records in groups.items():
            tally = self._tally(alike)
            tally.add(len(records))
            self._lines.write("request.answered", now, records, shared=tally.shared)

    def _tally(self, alike: _Alike) -> _Tally:
        tally = self._tallies.get(alike)
        if tally is None:
            tally = self._tallies[alike] = _Tally(self._metrics, alike)
        return tally


def _record(entry: Entry) -> dict[str, Any]:
    """Return what only this line says; a stranger's strings (paths, unproven ids) are not in it."""
    event = entry.event
    milliseconds = round(entry.seconds * 1000, 3)
    if event is None:
        return {"bytes": entry.size, "duration_ms": milliseconds}
    return {
        "event_id": event.id[:MAX_ID_CHARS],
        "correlation_id": event.correlation_id,
        "instance_id": event.instance_id,
        "bytes": entry.size,
        "duration_ms": milliseconds,
    }
