"""Groups under flush, as Redis holds them; one script per step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis
from redis.commands.core import Script

from receiver.broker import queues_key, script_args
from workers.alert import Alert
from workers.alerting.decision import Entry
from workers.alerting.flush import Flush, Held, Message, Options
from workers.alerting.groups import LEASE, SOURCE_SECONDS, flush_job
from workers.alerting.keys import room
from workers.alerting.scripts import effect_args, together, with_effects, with_jobs
from workers.ledger.transitions import Effect

HANDOVER_SECONDS: Final = 5.0
"""Seconds in which the worker that flushed tries a delivery itself, before the tick does."""

URGENT: Final = 32
"""Groups that a job takes along beside its own."""


class GroupMeta(NamedTuple):
    """What a group knows of itself; `options` are those its route had when it was made."""

    gid: str
    slot: str
    key: str
    labels: Mapping[str, str]
    options: Options


class Open(NamedTuple):
    """A delivery that is on its way.

    `lost` says that an attempt at it never ended, `told` what the log says on its success, `kept`
    that it was told before and its alerts are kept alive.
    """

    target: str
    created: float
    lost: bool
    revision: int
    told: Entry
    kept: bool


class Begun(NamedTuple):
    """A flush under a lease; `fence` and the log's version prove at its end that it held.

    `generation` is the tree under which the group was last looked at, `addressed` are the ids of
    its deliveries, `open` those of them that are on their way.
    """

    fence: int
    told: int
    flush: Flush
    generation: str
    addressed: tuple[str, ...]
    open: tuple[Open, ...]


class Source(NamedTuple):
    """An active alert at a spot where it holds others back; `ends` is empty while it is open."""

    spot: str
    fingerprint: str
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a flush leaves behind.

    `entries` are the log of what was told on the spot, by target; `drop` deliveries about which
    there is nothing left to tell, `stay` those that go on as they are, `send` what becomes
    deliveries; each has a notification. `deadline` is until when they are tried, by delivery.
    `generation` is empty while alerts still have to move.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    drop: Sequence[str] = ()
    stay: Sequence[str] = ()
    send: Sequence[Message] = ()
    deadline: float = 0.0
    generation: str = ""
    sources: Sequence[Source] = ()
    effects: Sequence[Effect] = ()


class Store:
    """Reads and writes groups; times are Unix seconds, `lease` is how long a flush may take."""

    def __init__(self, redis: Redis, prefix: str, *, lease: float = LEASE) -> None:
        self._redis = redis
        self._lease = lease
        self._room = room(prefix)
        self._begin = redis.register_script(with_jobs("begin.lua"))
        self._finish = redis.register_script(with_effects("finish.lua"))

    def begin(self, gids: Sequence[str], now: float) -> list[Any]:
        """Begin the pending flushes of groups; return what `opened` reads.

        A job of one group takes along some that became urgent meanwhile, and calls another job for
        the rest. The tick's job of many does not: nothing urgent waits for all of those.
        """
        rest = [queues_key(), *script_args(flush_job([]))]
        most = URGENT if len(gids) <= 1 else 0
        args = [self._room, now, now + self._lease, most, len(gids), *gids, *rest]
        found: list[Any] = self._begin(args=args)
        return found

    def opened(
        self, row: Any, options_of: Callable[[GroupMeta], Options], now: float, url: str
    ) -> Begun:
        """Read one flush that was begun; `options_of` says what holds for a group."""
        gid, slot, key, labels, options, fence, flushes, due, told, generation = row[:10]
        alerts, log, addressed, on_their_way = row[10:]
        group = GroupMeta(
            gid.decode(),
            slot.decode(),
            key.decode(),
            orjson.loads(labels),
            Options(**orjson.loads(options)),
        )
        flush = Flush(
            gid=group.gid,
            slot=group.slot,
            key=group.key,
            group_labels=group.labels,
            options=options_of(group),
            number=flushes + 1,
            due=float(due),
            now=now,
            held={fp.decode(): held(value) for fp, value in _pairs(alerts)},
            log={target.decode(): Entry.from_wire(value) for target, value in _pairs(log)},
            external_url=url,
        )
        return Begun(
            fence=fence,
            told=int(told),
            flush=flush,
            generation=generation.decode(),
            addressed=tuple(addressed.decode().split()),
            open=tuple(_open(*fields) for fields in on_their_way),
        )

    def finish(
        self,
        begun: Begun,
        plan: Plan,
        now: float,
        then: tuple[Script, Sequence[Any]] | None = None,
    ) -> tuple[bool, Any]:
        """End a flush.

        Args:
            begun: the flush.
            plan: what it leaves behind.
            now: Unix seconds.
            then: one more script, which goes with it in the same round trip.

        Returns:
            False if the fence was lost or it has to decide again; and what `then` answered.
        """
        flush = begun.flush
        log_ttl = int(2 * flush.options.repeat_interval) + 1
        args: list[Any] = [self._room, flush.gid, begun.fence, begun.told, now]
        args += [flush.options.group_interval, now + HANDOVER_SECONDS, log_ttl, SOURCE_SECONDS]
        args.append(flush.resolving())
        args += [plan.generation, len(plan.entries)]
        for target, entry in plan.entries.items():
            args += [target, entry.to_wire()]
        args += [len(plan.drop), *plan.drop, len(plan.stay), *plan.stay, len(plan.send)]
        for message in plan.send:
            args += address_args(message, plan.deadline)
        args += [len(plan.sources), *(part for source in plan.sources for part in source)]
        args += effect_args(list(plan.effects))
        if then is None:
            return bool(self._finish(args=args)), None
        finished, answer = together(self._redis, (self._finish, args), then)
        return bool(finished), answer

    def occupied(self, spots: Iterable[str], now: float) -> list[str]:
        """Return those of the spots at which an active alert holds others back."""
        asked = sorted(set(spots))
        if not asked:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            for spot in asked:
                pipe.zcount(f"{self._room}source:{spot}", f"({now}", "+inf")
            counts = pipe.execute()
        return [spot for spot, count in zip(asked, counts, strict=True) if count]

    def ended(self, fingerprints: Sequence[str]) -> dict[str, float]:
        """Return when alerts ended of which another group was told the end."""
        if not fingerprints:
            return {}
        scores = self._redis.zmscore(f"{self._room}ends", list(fingerprints))
        return {fp: float(at) for fp, at in zip(fingerprints, scores, strict=True) if at}


def address_args(message: Message, deadline: float) -> list[Any]:
    """Return a message as the scripts take it."""
    assert message.notification is not None
    target = message.target
    args = [message.delivery, target, message.integration.receiver, deadline, message.toll.value]
    return [*args, message.notification.to_wire(), message.entry.to_wire(), message.same]


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


def _open(*fields: bytes) -> Open:
    target, created, lost, revision, told, kept = fields
    return Open(
        target.decode(),
        float(created),
        lost == b"1",
        int(revision),
        Entry.from_wire(told),
        kept == b"1",
    )


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
