"""The sweep: finds in-flight events whose job is gone, and gives each a job of its own.

The queue lists and the running leases are the evidence; RQ's status fields never are. An event
is lost when its job has stood in no queue for `grace` seconds and no live lease holds it. It
comes back alone, so that a poison event takes no neighbour with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from redis import Redis
from rq import Queue

from receiver.broker import QUEUE_OF, Keys, texts
from receiver.event import KINDS
from workers.ledger.transitions import Ledger, Seen, script

SLICE: Final = 1_000
MAX_REQUEUED: Final = 5_000


class Sweep:
    """One sweeper's memory of where it saw which job last; all times are Unix seconds."""

    def __init__(self, redis: Redis, keys: Keys, ledger: Ledger, *, grace: float) -> None:
        self._redis = redis
        self._keys = keys
        self._ledger = ledger
        self._grace = grace
        self._inspect = script(redis, "inspect.lua")
        self._last_seen: dict[str, float] = {}
        self._since: float | None = None

    def run(self, now: float) -> int:
        """Requeue what is lost; return how many events."""
        if self._since is None:
            self._since = now
        self._redis.zremrangebyscore(self._keys.running, "-inf", now)
        queued = self._queued()
        alive = queued | self._running(now)
        known = dict.fromkeys(queued, now)
        requeued = 0
        for kind in KINDS:
            for seen, generation, due in self._candidates(kind, alive, now):
                last = max(due, self._since, self._last_seen.get(seen.job, 0.0))
                if seen.job in self._last_seen:
                    known.setdefault(seen.job, self._last_seen[seen.job])
                if now - last < self._grace or requeued >= MAX_REQUEUED:
                    continue
                requeued += self._bring_back(seen, kind, generation, now)
        self._last_seen = known
        return requeued

    def _queued(self) -> set[str]:
        """Return the ids of the jobs that stand in a queue."""
        queued: set[str] = set()
        for queue in sorted(set(QUEUE_OF.values())):
            name = f"{Queue.redis_queue_namespace_prefix}{queue}"
            queued.update(texts(self._redis.lrange(name, 0, -1)))
        return queued

    def _running(self, now: float) -> set[str]:
        """Return the ids of the jobs that a live worker holds."""
        return set(texts(self._redis.zrangebyscore(self._keys.running, f"({now}", "+inf")))

    def _candidates(
        self, kind: str, alive: set[str], now: float
    ) -> Iterator[tuple[Seen, int, float]]:
        """Yield the in-flight events of a kind that no job and no lease vouches for.

        With each come its generation and the time at which its job was due.
        """
        index = self._keys.inflight(kind)
        position = 0
        while members := self._redis.zrange(index, position, position + SLICE - 1):
            position += len(members)
            rows = self._inspect(args=[self._keys.prefix, *members])
            for key, row in zip(texts(members), rows, strict=True):
                state, job, lease, queued_at, next_at, generation = row
                held = lease is not None and float(lease) > now
                if state != b"inflight" or held or job.decode() in alive:
                    continue
                seen = Seen(key, "inflight", job.decode())
                yield seen, int(generation or 0), max(float(queued_at or 0), float(next_at or 0))

    def _bring_back(self, seen: Seen, kind: str, generation: int, now: float) -> int:
        job_id = lone_job_id(seen.key, generation + 1)
        moved: Sequence[str] = self._ledger.requeue(
            [seen], queue=QUEUE_OF[kind], job_id=job_id, now=now
        )
        return len(moved)


def lone_job_id(key: str, generation: int) -> str:
    """Return the id of the job that carries one event in its given generation."""
    return f"event-{key}-{generation}"
