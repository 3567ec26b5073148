"""Reading the ledger for people: events, dead letters, quarantine, history.

Every listing is bounded and reads its index from the newest entry down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis import Redis

from receiver.broker import Keys, texts
from receiver.errors import EventError, NewerWireError
from receiver.event import KINDS, Event, from_wire

PAGE: Final = 500
IN_FLIGHT, DEAD, DONE = "inflight", "dead", "done"
STATES: Final = (IN_FLIGHT, DEAD, DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event as the ledger knows it; times are Unix seconds.

    `event` is None when the body is gone or unreadable. `reason` is the last failure, the
    cause of death, or what was decided.
    """

    key: str
    state: str
    kind: str
    received_at: float | None
    label: str
    attempts: int
    reason: str
    next_at: float | None
    leased_until: float | None
    at: float | None
    job: str
    generation: int
    event: Event | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRow:
    """One quarantined body; `whole` is False when only its first KiB was kept."""

    key: str
    endpoint: str
    reason: str
    label: str
    size: int
    at: float
    digest: str
    whole: bool
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One thing that an operator did."""

    at: float
    actor: str
    action: str
    subject: str
    detail: str


class Listing:
    """Bounded reads of the ledger."""

    def __init__(self, redis: Redis, keys: Keys, *, page: int = PAGE) -> None:
        self._redis = redis
        self._keys = keys
        self._page = page

    def events(self, state: str, *, kinds: Sequence[str] = KINDS) -> Iterator[EventRow]:
        """Yield the events in a state, newest first within a kind.

        Args:
            state: one of `STATES`; `done` holds the last 10 000 settled ones.
            kinds: which kinds to read.
        """
        if state == DONE:
            rows = self._read(self._members(self._keys.done))
            yield from (row for row in rows if row.kind in kinds)
            return
        for kind in kinds:
            index = self._keys.inflight(kind) if state == IN_FLIGHT else self._keys.dead(kind)
            yield from self._read(self._members(index))

    def show(self, key: str) -> EventRow | None:
        """Return one event by its safe key, or None."""
        return next(self._read([[key]]), None)

    def body(self, key: str) -> bytes | None:
        """Return the body of an event as it was received, or None when it is gone."""
        wire = self._redis.get(self._keys.body(key))
        return None if wire is None else orjson.dumps(orjson.loads(wire)["body"])

    def quarantine(self, endpoints: Sequence[str] = ()) -> Iterator[QuarantineRow]:
        """Yield quarantined bodies, newest first within an endpoint; all endpoints if none."""
        for endpoint in endpoints or self.quarantined_endpoints():
            for page in self._members(self._keys.quarantine(endpoint)):
                for key in page:
                    row = self.quarantined(key)
                    if row is not None:
                        yield row

    def quarantined(self, key: str) -> QuarantineRow | None:
        """Return one quarantined body by its key, or None."""
        held: Mapping[Any, Any] = self._redis.hgetall(self._keys.quarantined(key))
        return _quarantine_row(key, held) if held else None

    def quarantined_endpoints(self) -> list[str]:
        """Return the endpoints that ever kept a quarantined body."""
        names = (field.partition(":") for field in texts(self._redis.hkeys(self._keys.held)))
        return sorted({name for kind, _, name in names if kind == "bodies"})

    def history(self, limit: int) -> list[HistoryRow]:
        """Return what operators did, newest first."""
        entries: list[Any] = self._redis.xrevrange(self._keys.history, count=limit) or []
        return [_history_row(fields) for _id, fields in entries]

    def _members(self, index: str) -> Iterator[list[str]]:
        position = 0
        while page := self._redis.zrevrange(index, position, position + self._page - 1):
            position += len(page)
            yield texts(page)

    def _read(self, pages: Iterator[list[str]] | Sequence[list[str]]) -> Iterator[EventRow]:
        for page in pages:
            with self._redis.pipeline(transaction=False) as pipe:
                for key in page:
                    pipe.get(self._keys.event(key))
                    pipe.get(f"{self._keys.prefix}:outcome:{key}")
                    pipe.get(self._keys.body(key))
                replies = iter(pipe.execute())
            for key, record, outcome, wire in zip(page, replies, replies, replies, strict=False):
                if record:
                    held = orjson.loads(outcome or b"{}") | orjson.loads(record)
                    yield _event_row(key, held, wire)


def _event_row(key: str, held: Mapping[str, Any], wire: bytes | None) -> EventRow:
    return EventRow(
        key=key,
        state=held["state"],
        kind=held["kind"],
        received_at=held.get("received_at"),
        label=held.get("label", ""),
        attempts=held.get("attempts", 0),
        reason=held.get("reason", ""),
        next_at=held.get("next_at"),
        leased_until=held.get("lease"),
        at=held.get("at"),
        job=held.get("job", ""),
        generation=held.get("generation", 0),
        event=_event(wire),
    )


def _event(wire: bytes | None) -> Event | None:
    if wire is None:
        return None
    try:
        return from_wire(wire)
    except (EventError, NewerWireError):
        return None


def _quarantine_row(key: str, held: Mapping[bytes, bytes]) -> QuarantineRow:
    return QuarantineRow(
        key=key,
        endpoint=held[b"endpoint"].decode(),
        reason=held[b"reason"].decode(),
        label=held[b"label"].decode(),
        size=int(held[b"size"]),
        at=float(held[b"at"]),
        digest=held[b"digest"].hex(),
        whole=held[b"whole"] == b"1",
        body=held[b"body"],
    )


def _history_row(fields: Mapping[bytes, Any]) -> HistoryRow:
    return HistoryRow(
        at=float(fields[b"at"]),
        actor=fields[b"actor"].decode(),
        action=fields[b"action"].decode(),
        subject=fields[b"subject"].decode(),
        detail=fields[b"detail"].decode(),
    )
