"""What workers do to events: claim, start, settle, hand back; and what the tick hands on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final, NamedTuple
from uuid import uuid4

import orjson
from redis import Redis
from redis.commands.core import Script

from receiver.broker import (
    PROCESS_EVENTS,
    QUEUE_OF,
    JobFields,
    Keys,
    job_fields,
    queues_key,
    script_args,
    texts,
)
from workers.ledger.ahead import Ahead

SETTLED_BODY_TTL: Final = 86_400
LISTED_SETTLED: Final = 10_000
MAX_RETRY_BATCH: Final = 32
MAX_DUE: Final = 1_024


class Verdict(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead"


class Effect(NamedTuple):
    """A write that happens in the same script as the settlement of its event, or not at all.

    `name` is that of a function which a Lua fragment adds to the table `effects`.
    """

    name: str
    args: tuple[str | bytes | int | float, ...]


class Claim(NamedTuple):
    """An event held under a lease; `fence` proves it, `attempts` counts earlier starts.

    `started` says that this attempt is counted already.
    """

    key: str
    fence: int
    attempts: int
    kind: str
    received_at: float
    wire: bytes | None
    started: bool = False


class Settlement(NamedTuple):
    """The end of an attempt; `reason` is from a closed set or a decision's one line.

    One that is `untried` was counted, but its handler never ran: it is taken back.
    """

    key: str
    fence: int
    verdict: Verdict
    reason: str = ""
    next_at: float = 0.0
    effects: Sequence[Effect] = ()
    untried: bool = False


class Written(NamedTuple):
    """What a settle did: which settlements held their fence, and which starts did.

    `answered` says whose effects answered something.
    """

    settled: list[bool]
    started: list[bool]
    answered: list[bool]


class Settling:
    """A settle that is on its way: so many settlements, and the starts that go with them."""

    def __init__(self, call: Ahead, settlements: int) -> None:
        self._call = call
        self._settlements = settlements

    def written(self) -> Written:
        """Wait until it is written, and return what it did; once."""
        answers: list[int] = self._call.answer()
        ended, begun = answers[: self._settlements], answers[self._settlements :]
        return Written(
            settled=[answer > 0 for answer in ended],
            started=[answer > 0 for answer in begun],
            answered=[answer > 1 for answer in ended],
        )

    def abandon(self) -> None:
        """Wait no longer, if its end was not waited for; it may have happened all the same."""
        self._call.abandon()


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as it was read; it is only moved if it is still so."""

    key: str
    state: str
    job: str


class Ledger:
    """The transitions of events; all times are Unix seconds."""

    def __init__(
        self, redis: Redis, keys: Keys, *, dedup_window: float, fragments: Iterable[str] = ()
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._dedup = int(dedup_window)
        self._claim = script(redis, "claim.lua")
        self._requeue = script(redis, "requeue.lua")
        room = "\n".join([lua("record.lua"), lua("effects.lua"), *fragments])
        self._settle = redis.register_script(f"{room}\n{lua('settle.lua')}")
        self._apply = redis.register_script(f"{room}\n{lua('apply.lua')}")

    def claim(
        self,
        job_id: str,
        keys: Sequence[str],
        *,
        now: float,
        lease: float,
        starting: int = 0,
        alone: int = 1,
    ) -> list[Claim]:
        """Take those of `keys` that belong to this job and that nobody holds.

        The first `starting` of them start at once, but none with `alone` attempts behind it.
        """
        args: list[Any] = [self._keys.prefix, now, now + lease, job_id, starting, alone, *keys]
        return [
            Claim(key.decode(), fence, attempts, kind.decode(), float(at), wire, started == 1)
            for key, fence, attempts, kind, at, wire, started in self._claim(args=args)
        ]

    def settle(
        self,
        settlements: Sequence[Settlement],
        *,
        now: float,
        job_id: str,
        lease: float,
        starts: Sequence[Claim] = (),
        renew: Sequence[Claim] = (),
        over: bool = False,
    ) -> Settling:
        """Begin to write outcomes with their effects, renew leases, count the starts of attempts.

        With `over` no worker holds the job any more.
        """
        args: list[Any] = [self._keys.prefix, now, SETTLED_BODY_TTL, self._dedup]
        args += [LISTED_SETTLED, job_id, now + lease, int(over), len(settlements)]
        for item in settlements:
            args += [item.key, item.fence, item.verdict.value, item.reason, item.next_at]
            args.append(int(item.untried))
            args += _effect_args(item.effects)
        args.append(len(renew))
        args += [part for claim in renew for part in (claim.key, claim.fence)]
        args.append(len(starts))
        args += [part for claim in starts for part in (claim.key, claim.fence)]
        return Settling(Ahead(self._redis, self._settle, args), len(settlements))

    def apply(self, effects: Sequence[Effect]) -> None:
        """Write effects that belong to no event, such as the tick's own alerts."""
        if effects:
            self._apply(args=[self._keys.prefix, *_effect_args(effects)])

    def requeue(self, seen: Sequence[Seen], *, queue: str, job_id: str, now: float) -> list[str]:
        """Give events to a new job and push it; return the keys that were still as seen."""
        job = process_job([item.key for item in seen], queue=queue, job_id=job_id)
        args: list[Any] = [self._keys.prefix, now, queues_key(), *script_args(job), len(seen)]
        for item in seen:
            args += [item.key, item.state, item.job]
        return texts(self._requeue(args=args))

    def release_job(self, job_id: str) -> None:
        """Say that no worker holds this job any more."""
        self._redis.zrem(self._keys.running, job_id)

    def enqueue_due(self, now: float) -> int:
        """Push jobs for the events whose next attempt is due; return how many events."""
        due = texts(self._redis.zrangebyscore(self._keys.retry, "-inf", now, start=0, num=MAX_DUE))
        by_queue: dict[str, list[Seen]] = {}
        for key, kind in zip(due, self._kinds(due), strict=True):
            if kind is None:
                self._redis.zrem(self._keys.retry, key)
                continue
            by_queue.setdefault(QUEUE_OF[kind], []).append(Seen(key, "inflight", ""))
        return sum(self._push(queue, seen, now) for queue, seen in by_queue.items())

    def _push(self, queue: str, seen: list[Seen], now: float) -> int:
        moved = 0
        for at in range(0, len(seen), MAX_RETRY_BATCH):
            batch = seen[at : at + MAX_RETRY_BATCH]
            job_id = f"retry-{uuid4().hex}"
            moved += len(self.requeue(batch, queue=queue, job_id=job_id, now=now))
        return moved

    def _kinds(self, keys: Sequence[str]) -> list[str | None]:
        """Return the kind of each in-flight event; None for one that is settled or gone."""
        if not keys:
            return []
        held = self._redis.mget([self._keys.event(key) for key in keys])
        records = [orjson.loads(record) if record else {} for record in held]
        return [record["kind"] if record.get("state") == "inflight" else None for record in records]


def process_job(keys: Sequence[str], *, queue: str, job_id: str) -> JobFields:
    """Return the job that processes these events."""
    return job_fields(PROCESS_EVENTS, [list(keys)], queue=queue, job_id=job_id)


def lua(name: str) -> str:
    """Return the text of one of the ledger's scripts."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def script(redis: Redis, name: str) -> Script:
    """Return one of the ledger's scripts, ready to be called; it loads itself when needed."""
    return redis.register_script(f"{lua('record.lua')}\n{lua(name)}")


def _effect_args(effects: Sequence[Effect]) -> list[Any]:
    args: list[Any] = [len(effects)]
    for effect in effects:
        args += [effect.name, len(effect.args), *effect.args]
    return args
