"""What the guard and the handlers remember, in Redis.

    {P}:synap:config:{instance}   hash: at, config_id, clean, current, good (records)
    {P}:synap:open:{instance}     hash: fingerprint -> alert of the guard that fires
    {P}:synap:pins                hash: instance -> pin
    {P}:synap:runs:{watch}        sorted set: "event deleted scanned" -> when the run ended
    {P}:synap:overdue             sorted set: watch -> when its next run is overdue
    {P}:synap:watched             hash: watch -> what it is of
    {P}:synap:failures:{tally}    hash: alert, first, last, more; beside it :events (sorted set),
                                  :documents and :correlations (sets)
    {P}:synap:failing             sorted set: tally -> when its trouble counts as over

All but the pins are written by the effects of `book.lua`, with the settlement of the event that
they come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import orjson
from redis import Redis

from receiver.broker import texts
from workers.alert import Alert
from workers.synap.failures import Tally
from workers.synap.records import Pin, Record, Remembered
from workers.synap.runs import Run, Watch, watch_id

CHANGE_FRESH: Final = 5.0
"""Seconds for which a process trusts what it read of an instance's latest change."""

MOST_DUE: Final = 100
_MEMORY: Final = 1_000


class Book:
    """Reads and writes what is remembered of instances."""

    def __init__(
        self, redis: Redis, prefix: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._room = f"{prefix}:synap:"
        self._clock = clock
        self._changes: dict[str, tuple[float, Record | None]] = {}

    def remembered(self, instance_id: str) -> Remembered:
        """Return all that is remembered of an instance."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(f"{self._room}config:{instance_id}", "current", "good")
            pipe.hgetall(f"{self._room}open:{instance_id}")
            pipe.hget(f"{self._room}pins", instance_id)
            (current, good), alerts, pin = pipe.execute()
        return Remembered(
            current=_record(current),
            good=_record(good),
            pin=Pin(**orjson.loads(pin)) if pin else None,
            alerts={key.decode(): Alert.from_wire(wire) for key, wire in alerts.items()},
        )

    def latest_change(self, instance_id: str) -> Record | None:
        """Return what became active last on an instance, as it was a few seconds ago at most.

        A storm of failures asks this for each of them.
        """
        read_at, known = self._changes.get(instance_id, (float("-inf"), None))
        if self._clock() - read_at < CHANGE_FRESH:
            return known
        if len(self._changes) >= _MEMORY:
            self._changes.clear()
        found = _record(self._redis.hget(f"{self._room}config:{instance_id}", "current"))
        self._changes[instance_id] = (self._clock(), found)
        return found

    def runs(self, instance_id: str, scope: str) -> tuple[Run, ...]:
        """Return the last retention runs of an instance and scope, oldest first."""
        rows: Any = self._redis.zrange(
            f"{self._room}runs:{watch_id(instance_id, scope)}", 0, -1, withscores=True
        )
        return tuple(_run(member.decode(), at) for member, at in rows)

    def overdue(self, now: float) -> list[tuple[str, float, Watch]]:
        """Return the watches whose run is overdue, each with when it was due."""
        due = self._due("overdue", now)
        if not due:
            return []
        named = self._redis.hmget(f"{self._room}watched", [watch for watch, _ in due])
        return [
            (watch, at, Watch(**orjson.loads(wire)))
            for (watch, at), wire in zip(due, named, strict=True)
            if wire
        ]

    def over(self, now: float) -> list[Tally]:
        """Return the tallies whose trouble counts as over."""
        found = (self._tally(tally, at) for tally, at in self._due("failing", now))
        return [tally for tally in found if tally is not None]

    def _due(self, index: str, now: float) -> list[tuple[str, float]]:
        rows: Any = self._redis.zrangebyscore(
            self._room + index, "-inf", now, start=0, num=MOST_DUE, withscores=True
        )
        return [(member.decode(), at) for member, at in rows]

    def _tally(self, tally: str, over_at: float) -> Tally | None:
        key = f"{self._room}failures:{tally}"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(key, "alert", "first", "last", "more")
            pipe.zcard(f"{key}:events")
            pipe.smembers(f"{key}:documents")
            pipe.smembers(f"{key}:correlations")
            (alert, first, last, more), counted, documents, correlations = pipe.execute()
        if alert is None:  # it expired before anybody ticked
            self._redis.zrem(f"{self._room}failing", tally)
            return None
        return Tally(
            id=tally,
            over_at=over_at,
            alert=Alert.from_wire(alert),
            counted=counted + int(more or 0),
            first=float(first),
            last=float(last),
            documents=tuple(sorted(texts(documents))),
            correlations=tuple(sorted(texts(correlations))),
        )

    def pin(self, instance_id: str, pin: Pin) -> None:
        """Remember which version is expected to be active."""
        self._redis.hset(f"{self._room}pins", instance_id, orjson.dumps(pin._asdict()))

    def unpin(self, instance_id: str) -> bool:
        """Forget the pin of an instance; say whether there was one."""
        return bool(self._redis.hdel(f"{self._room}pins", instance_id))


def book_lua() -> str:
    """Return the fragment that defines the effects of this package."""
    return files(__package__).joinpath("book.lua").read_text(encoding="utf-8")


def _run(member: str, at: float) -> Run:
    event_key, deleted, _scanned = member.split(" ")
    return Run(event_key, at, int(deleted))


def _record(wire: Any) -> Record | None:
    return Record.from_wire(wire) if wire else None
