"""What the tick looks for: groups whose flush is due and deliveries whose attempt is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from redis import Redis

from receiver.broker import JobFields, queues_key, script_args
from workers.alerting.groups import LEASE, deliver_job, flush_job, lua
from workers.alerting.keys import room

MAX_DUE: Final = 1024
GROUPS_PER_JOB: Final = 32
DELIVERIES_PER_JOB: Final = 16


class Due(NamedTuple):
    """A member of a sorted set and the time at which it came due."""

    member: str
    score: float


class DueSource:
    """A source of the tick; any number of ticks at once hand on each flush once.

    `lease` is the seconds after which what was handed on and not done is handed on again.
    """

    def __init__(self, redis: Redis, prefix: str, *, lease: float = LEASE) -> None:
        self._redis = redis
        self._lease = lease
        self._room = room(prefix)
        self._take = redis.register_script(lua("take.lua"))

    def enqueue_due(self, now: float) -> int:
        """Push jobs for all that is due at `now` (Unix seconds); return how much it was."""
        return self._groups(now) + self._deliveries(now)

    def _groups(self, now: float) -> int:
        due = self._read(f"{self._room}due", now)
        batches = [
            (batch, flush_job([one.member for one in batch]))
            for batch in _batched(due, GROUPS_PER_JOB)
        ]
        return self._hand_on(f"{self._room}due", f"{self._room}group:", now, batches)

    def _deliveries(self, now: float) -> int:
        """Hand on deliveries, those to one target together."""
        due = self._read(f"{self._room}deliveries", now)
        with self._redis.pipeline(transaction=False) as pipe:
            for one in due:
                pipe.hget(f"{self._room}delivery:{one.member}", "target")
            targets = pipe.execute()
        sorted_due = sorted(zip((t or b"" for t in targets), due, strict=True))
        batches = [
            (batch, deliver_job([one.member for one in batch]))
            for _, some in groupby(sorted_due, key=lambda pair: pair[0])
            for batch in _batched([one for _, one in some], DELIVERIES_PER_JOB)
        ]
        return self._hand_on(f"{self._room}deliveries", "", now, batches)

    def _read(self, key: str, now: float) -> list[Due]:
        rows: list[Any] = self._redis.zrangebyscore(
            key, "-inf", now, start=0, num=MAX_DUE, withscores=True
        )
        return [Due(member.decode(), score) for member, score in rows]

    def _hand_on(
        self, key: str, hashes: str, now: float, batches: Sequence[tuple[Sequence[Due], JobFields]]
    ) -> int:
        if not batches:
            return 0
        args: list[Any] = [key, hashes, now + self._lease, queues_key(), len(batches)]
        for batch, job in batches:
            args.append(len(batch))
            args += [part for one in batch for part in one]
            args += script_args(job)
        return int(self._take(args=args))


def _batched(items: Sequence[Due], size: int) -> Iterator[Sequence[Due]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
