"""One commit: many verified deliveries, one script, one round trip, one fsync.

`accept.lua` does the work; this module prepares its arguments and reads its answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import uuid4

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from receiver.broker import (
    PROCESS_EVENTS,
    QUEUE_OF,
    Keys,
    accept_script,
    job_fields,
    queues_key,
    script_args,
)
from receiver.errors import Flaw, Shortage, UnavailableError
from receiver.event import Event, safe_key, to_wire

MAX_EVENTS: Final = 256
MAX_BYTES: Final = 4 * 1024 * 1024

QUARANTINE_RECORDS: Final = 10_000
QUARANTINE_BODIES: Final = 1_000
QUARANTINE_BYTES: Final = 64 * 1024 * 1024
QUARANTINE_EXCERPT: Final = 1_024


class Submission(NamedTuple):
    """A verified delivery; with a `flaw` it goes to quarantine, else `event` is present."""

    event: Event | None
    raw: bytes
    endpoint: str
    label: str
    received_at: float
    flaw: Flaw | None = None


class Outcome(StrEnum):
    """What became of a submission."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    CONFLICT = "conflict"


_OF_EVENT: Final = {1: Outcome.ACCEPTED, 2: Outcome.DUPLICATE, 3: Outcome.CONFLICT}


class Committer:
    """Runs the accept script, proving durability in the same round trip when asked to."""

    def __init__(self, redis: AsyncRedis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._script = accept_script()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    async def commit(
        self, batch: Sequence[Submission], *, now: float, wait_ms: int | None
    ) -> list[Outcome]:
        """Commit a batch and return what became of each submission, in order.

        Args:
            batch: at most `MAX_EVENTS` submissions.
            now: Unix seconds.
            wait_ms: how long to wait for the fsync; None when the reply itself proves it.

        Raises:
            UnavailableError: nothing may be acknowledged. The commit may have happened all
                the same; then the sender's retry is answered `duplicate`.
        """
        events = [item for item in batch if item.flaw is None]
        rubbish = [item for item in batch if item.flaw is not None]
        args = self._arguments(events, rubbish, now)
        try:
            answers = await self._run(args, wait_ms)
        except NoScriptError:
            answers = await self._load_and_run(args, wait_ms)
        except (RedisError, OSError) as error:
            raise await self._unavailable(error) from error
        of_event = iter(answers)
        return [
            _OF_EVENT[next(of_event)] if item.flaw is None else Outcome.QUARANTINED
            for item in batch
        ]

    async def _load_and_run(self, args: list[Any], wait_ms: int | None) -> list[int]:
        try:
            await self._redis.script_load(self._script)
            return await self._run(args, wait_ms)
        except (RedisError, OSError) as error:
            raise await self._unavailable(error) from error

    async def _run(self, args: list[Any], wait_ms: int | None) -> list[int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.evalsha(self._sha, 0, *args)
            if wait_ms is not None:
                pipe.execute_command("WAITAOF", 1, 0, wait_ms)
            replies = await pipe.execute()
        if wait_ms is not None and replies[1][0] < 1:
            raise UnavailableError(Shortage.NOT_DURABLE)
        answers: list[int] = replies[0]
        return answers

    async def _unavailable(self, error: Exception) -> UnavailableError:
        """Name the shortage; after a failover the old connections lead to a replica."""
        if isinstance(error, ReadOnlyError):
            await self._redis.connection_pool.disconnect()
        if isinstance(error, RedisTimeoutError):
            return UnavailableError(Shortage.COMMIT_TIMEOUT)
        unreachable = (RedisConnectionError, OSError)
        if isinstance(error, unreachable) and not isinstance(error, BusyLoadingError):
            return UnavailableError(Shortage.REDIS_UNREACHABLE)
        return UnavailableError(Shortage.REDIS_REFUSED)

    def _arguments(
        self, events: list[Submission], rubbish: list[Submission], now: float
    ) -> list[Any]:
        args: list[Any] = [self._keys.prefix, f"{now:.3f}", queues_key()]
        described = [_describe(item) for item in events]
        queues = sorted({QUEUE_OF[fields[2]] for fields in described})
        args.append(len(queues))
        for queue in queues:
            members = [fields[0] for fields in described if QUEUE_OF[fields[2]] == queue]
            job_id = f"batch-{uuid4().hex}"
            args += script_args(job_fields(PROCESS_EVENTS, [members], queue=queue, job_id=job_id))
        number = {queue: index for index, queue in enumerate(queues, start=1)}
        args.append(len(events))
        for fields in described:
            args += fields
            args.append(number[QUEUE_OF[fields[2]]])
        args.append(len(rubbish))
        for item in rubbish:
            args += _describe_rubbish(item)
        uses = {f"{item.endpoint}/{item.label}" for item in (*events, *rubbish)}
        args += [len(uses), *uses]
        args += [QUARANTINE_RECORDS, QUARANTINE_BODIES, QUARANTINE_BYTES, QUARANTINE_EXCERPT]
        return args


def quarantine_key(endpoint: str, raw: bytes) -> str:
    """Return the safe key of a quarantined body: the same body is kept once per endpoint."""
    return safe_key(endpoint, hashlib.sha256(raw).hexdigest())


def _describe(item: Submission) -> tuple[Any, ...]:
    event = item.event
    assert event is not None
    return (
        event.key,
        hashlib.sha256(item.raw).digest(),
        event.kind,
        to_wire(item.raw, endpoint=item.endpoint, received_at=item.received_at),
        f"{item.received_at:.3f}",
        item.label,
    )


def _describe_rubbish(item: Submission) -> tuple[Any, ...]:
    assert item.flaw is not None
    return (
        quarantine_key(item.endpoint, item.raw),
        item.endpoint,
        item.flaw.value,
        hashlib.sha256(item.raw).digest(),
        f"{item.received_at:.3f}",
        item.label,
        item.raw,
    )
