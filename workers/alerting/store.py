"""Groups under flush and deliveries under way, as Redis holds them; one script per step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis

from workers.alert import Alert
from workers.alerting.decision import Entry
from workers.alerting.flush import Flush, Held, Message, Options
from workers.alerting.groups import lua
from workers.alerting.keys import room
from workers.alerting.notification import Notification

FLUSH_LEASE: Final = 30.0
DELIVERY_LEASE: Final = 30.0
HANDOVER_SECONDS: Final = 5.0
"""Seconds in which the worker that flushed tries a delivery itself, before the tick does."""

MAX_ROWS: Final = 10_000
MAX_DEAD: Final = 1_000


class GroupMeta(NamedTuple):
    """What a group knows of itself; `options` are those its route had when it was made."""

    gid: str
    slot: str
    key: str
    labels: Mapping[str, str]
    options: Options


class Begun(NamedTuple):
    """A flush under a lease; `fence` and the log's version prove at its end that it held."""

    fence: int
    told: int
    flush: Flush


class Attempt(NamedTuple):
    """A delivery under a lease, about to be tried for the `number`th time.

    `lost` says that an earlier attempt was begun and never came to an outcome.
    """

    id: str
    fence: int
    number: int
    revision: int
    lost: bool
    gid: str
    target: str
    deadline: float
    notification: Notification
    firing: frozenset[str]
    resolved: frozenset[str]
    entry: Entry | None


class Outcome(NamedTuple):
    """How an attempt ended: `sent`, `retry` at `next_at`, or `failed` for good.

    `pause` is for how many seconds the whole target is left alone.
    """

    word: str
    next_at: float = 0.0
    entry: Entry | None = None
    pause: float = 0.0


class Store:
    """Reads and writes groups and deliveries; times are Unix seconds."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._room = room(prefix)
        shared = lua("room.lua")
        self._begin = redis.register_script(lua("begin.lua"))
        self._finish = redis.register_script(shared + lua("finish.lua"))
        self._claim = redis.register_script(lua("claim.lua"))
        self._settle = redis.register_script(shared + lua("settle.lua"))

    def groups(self, gids: Sequence[str]) -> list[GroupMeta]:
        """Return those of the groups that exist."""
        with self._redis.pipeline(transaction=False) as pipe:
            for gid in gids:
                pipe.hmget(f"{self._room}group:{gid}", "slot", "key", "labels", "options")
            rows = pipe.execute()
        return [
            GroupMeta(
                gid,
                slot.decode(),
                key.decode(),
                orjson.loads(labels),
                Options(**orjson.loads(options)),
            )
            for gid, (slot, key, labels, options) in zip(gids, rows, strict=True)
            if slot
        ]

    def begin(self, group: GroupMeta, options: Options, now: float, url: str) -> Begun | None:
        """Begin a group's pending flush; None if there is none or somebody is at it."""
        row = self._begin(
            args=[self._room, group.gid, now, now + FLUSH_LEASE, options.group_interval]
        )
        if not row:
            return None
        fence, flushes, due, told, alerts, log = row
        flush = Flush(
            gid=group.gid,
            key=group.key,
            group_labels=group.labels,
            options=options,
            number=flushes + 1,
            due=float(due),
            now=now,
            held={fp.decode(): held(value) for fp, value in _pairs(alerts)},
            log={target.decode(): Entry.from_wire(value) for target, value in _pairs(log)},
            external_url=url,
        )
        return Begun(fence, int(told), flush)

    def finish(
        self,
        begun: Begun,
        *,
        entries: Mapping[str, Entry],
        drop: Sequence[str],
        send: Sequence[Message],
        deadline: float,
        now: float,
    ) -> bool:
        """End a flush; False if its fence was lost or it has to decide again.

        Args:
            begun: the flush.
            entries: the log of what was told on the spot, by target.
            drop: deliveries about which there is nothing left to tell.
            send: what becomes deliveries; each has a notification.
            deadline: until when they are tried.
            now: when the flush ended.
        """
        flush = begun.flush
        log_ttl = int(2 * flush.options.repeat_interval) + 1
        args: list[Any] = [self._room, flush.gid, begun.fence, begun.told, now]
        args += [now + HANDOVER_SECONDS, log_ttl, flush.resolving(), len(entries)]
        args += [part for target, entry in entries.items() for part in (target, entry.to_wire())]
        args += [len(drop), *drop, len(send)]
        for message in send:
            assert message.notification is not None
            args += [message.delivery, message.target, deadline, message.notification.to_wire()]
            args += [_joined(message.firing), _joined(message.resolved)]
        return bool(self._finish(args=args))

    def claim(self, delivery: str, now: float) -> Attempt | None:
        """Begin an attempt; None if the delivery is gone, not due, held, or its target rests."""
        row = self._claim(args=[self._room, delivery, now, now + DELIVERY_LEASE])
        if not row:
            return None
        fence, number, revision, lost, gid, target, deadline, wire, firing, resolved, entry = row
        return Attempt(
            id=delivery,
            fence=fence,
            number=number,
            revision=int(revision),
            lost=bool(lost),
            gid=gid.decode(),
            target=target.decode(),
            deadline=float(deadline),
            notification=Notification.from_wire(wire),
            firing=frozenset(firing.decode().split()),
            resolved=frozenset(resolved.decode().split()),
            entry=Entry.from_wire(entry) if entry else None,
        )

    def settle(
        self, attempt: Attempt, outcome: Outcome, row: Mapping[str, str | float], now: float
    ) -> bool:
        """End an attempt with its row in the ledger; False if the fence was lost."""
        entry = outcome.entry.to_wire() if outcome.entry else ""
        args: list[Any] = [self._room, attempt.id, attempt.fence, attempt.revision]
        args += [outcome.word, now, outcome.next_at, entry, int(outcome.pause * 1000)]
        args += [MAX_ROWS, MAX_DEAD, 2 * len(row)]
        args += [part for pair in row.items() for part in pair]
        return bool(self._settle(args=args))


def held(value: bytes) -> Held:
    """Read an alert as its group holds it."""
    head, _, wire = value.partition(b"\n")
    starts, updated, ends, timeout = head.decode().split(" ")
    stored: dict[str, Any] = orjson.loads(wire)
    alert = Alert(
        labels=stored["labels"],
        annotations=stored.get("annotations", {}),
        starts_at=float(starts),
        updated_at=float(updated),
        ends_at=float(ends) if ends else None,
        timeout=timeout == "1",
        generator_url=stored.get("generator_url", ""),
    )
    return Held(head.decode(), alert)


def _joined(fingerprints: Iterable[str]) -> str:
    return " ".join(sorted(fingerprints))


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
