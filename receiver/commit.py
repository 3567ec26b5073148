"""One commit: many verified deliveries, one script, one round trip, one fsync.

`accept.lua` does the work; this module prepares its arguments and reads its answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import uuid4

import hiredis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.broker import (
    PROCESS_EVENTS,
    QUEUE_OF,
    Keys,
    accept_script,
    job_fields,
    new_record,
    queues_key,
    script_args,
)
from receiver.errors import Flaw, Shortage, UnavailableError
from receiver.event import Event, body_digest, kind_of, safe_key, to_wire

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


_ANSWERS: Final = (None, Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT)


class _Described(NamedTuple):
    """An event as the script takes it, before its job is known."""

    key: str
    digest: str
    kind: str
    wire: bytes
    received_at: float
    label: str


class Committer:
    """Runs the accept script on a connection of its own, proving durability when asked to."""

    def __init__(self, redis: AsyncRedis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._script = accept_script()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._connection: AbstractConnection | None = None

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
        described: dict[str, _Described] = {}
        rubbish: dict[str, Submission] = {}
        place = [_place(item, described, rubbish) for item in batch]
        args = self._arguments(list(described.values()), rubbish, now)
        uses = {f"{item.endpoint}/{item.label}" for item in batch}
        repeats = sum(repeated is Outcome.DUPLICATE for _, repeated in place)
        args += [len(uses), *uses, repeats]
        args += [QUARANTINE_RECORDS, QUARANTINE_BODIES, QUARANTINE_BYTES, QUARANTINE_EXCERPT]
        answers = await self._run_or_refuse(args, wait_ms)
        outcome_of = dict(zip(described, (_ANSWERS[answer] for answer in answers), strict=True))
        outcomes: list[Outcome] = []
        for key, repeated in place:
            outcome = repeated if repeated is Outcome.CONFLICT else outcome_of.get(key)
            if repeated is Outcome.DUPLICATE and outcome is Outcome.ACCEPTED:
                outcome = repeated
            outcomes.append(outcome or Outcome.QUARANTINED)
        return outcomes

    async def _run_or_refuse(self, args: list[Any], wait_ms: int | None) -> list[int]:
        try:
            try:
                return await self._run(args, wait_ms)
            except NoScriptError:
                await self._redis.script_load(self._script)
                return await self._run(args, wait_ms)
        except (RedisError, OSError) as error:
            raise await self._unavailable(error) from error

    async def _run(self, args: list[Any], wait_ms: int | None) -> list[int]:
        """Send the script and the wait in one write; read both answers."""
        packed = hiredis.pack_command(("EVALSHA", self._sha, 0, *args))
        if wait_ms is not None:
            packed += hiredis.pack_command(("WAITAOF", 1, 0, wait_ms))
        connection = await self._connected()
        try:
            await connection.send_packed_command([packed], check_health=False)
            answers, waited = await _replies(connection, 1 if wait_ms is None else 2)
        except BaseException:
            # An answer may still be on its way: nothing more can be read from this connection.
            self._connection = None
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)
            raise
        if isinstance(answers, ResponseError):
            raise answers
        if isinstance(waited, ResponseError):
            raise waited
        if waited is not None and waited[0] < 1:
            raise UnavailableError(Shortage.NOT_DURABLE)
        found: list[int] = answers
        return found

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            self._connection = await self._redis.connection_pool.get_connection()
        return self._connection

    async def _unavailable(self, error: Exception) -> UnavailableError:
        """Name the shortage; after a failover the old connections lead to a replica."""
        if isinstance(error, ReadOnlyError):
            await self.close()
            await self._redis.connection_pool.disconnect()
        if isinstance(error, RedisTimeoutError):
            return UnavailableError(Shortage.COMMIT_TIMEOUT)
        unreachable = (RedisConnectionError, OSError)
        if isinstance(error, unreachable) and not isinstance(error, BusyLoadingError):
            return UnavailableError(Shortage.REDIS_UNREACHABLE)
        return UnavailableError(Shortage.REDIS_REFUSED)

    async def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect()
            await self._redis.connection_pool.release(connection)

    def _arguments(
        self, events: list[_Described], rubbish: Mapping[str, Submission], now: float
    ) -> list[Any]:
        args: list[Any] = [self._keys.prefix, f"{now:.3f}", queues_key()]
        by_queue: dict[str, list[str]] = {}
        by_kind: dict[str, list[Any]] = {}
        for event in events:
            by_queue.setdefault(QUEUE_OF[event.kind], []).append(event.key)
            by_kind.setdefault(event.kind, []).extend((event.received_at, event.key))
        args.append(len(by_queue))
        job_of: dict[str, str] = {}
        for queue, members in by_queue.items():
            job_of[queue] = job_id = f"batch-{uuid4().hex}"
            args += script_args(job_fields(PROCESS_EVENTS, [members], queue=queue, job_id=job_id))
        args.append(len(events))
        record_key, body_key = self._keys.event(""), self._keys.body("")
        for event in events:
            record = new_record(
                digest=event.digest,
                kind=event.kind,
                received_at=event.received_at,
                label=event.label,
                job_id=job_of[QUEUE_OF[event.kind]],
                now=now,
            )
            args += (record_key + event.key, record, body_key + event.key, event.wire)
        args.append(len(by_kind))
        for kind, scored in by_kind.items():
            args += (kind, len(scored) // 2, *scored)
        args.append(len(rubbish))
        for key, item in rubbish.items():
            args += _describe_rubbish(key, item)
        return args


def quarantine_key(endpoint: str, raw: bytes) -> str:
    """Return the safe key of a quarantined body: the same body is kept once per endpoint."""
    return safe_key(endpoint, hashlib.sha256(raw).hexdigest())


def _place(
    item: Submission, described: dict[str, _Described], rubbish: dict[str, Submission]
) -> tuple[str, Outcome | None]:
    """Enter a submission once; return its key, and what it is to an earlier one of the batch."""
    event = item.event
    if item.flaw is not None or event is None:
        rubbish.setdefault(quarantine_key(item.endpoint, item.raw), item)
        return "", None
    key = safe_key(item.endpoint, event.id)
    digest = body_digest(item.raw)
    earlier = described.get(key)
    if earlier is not None:
        same = earlier.digest == digest
        return key, Outcome.DUPLICATE if same else Outcome.CONFLICT
    wire = to_wire(item.raw, endpoint=item.endpoint, received_at=item.received_at)
    kind = kind_of(event.type)
    described[key] = _Described(key, digest, kind, wire, item.received_at, item.label)
    return key, None


def _describe_rubbish(key: str, item: Submission) -> tuple[Any, ...]:
    assert item.flaw is not None
    return (
        key,
        item.endpoint,
        item.flaw.value,
        hashlib.sha256(item.raw).digest(),
        f"{item.received_at:.3f}",
        item.label,
        item.raw,
    )


async def _replies(connection: AbstractConnection, count: int) -> tuple[Any, Any]:
    """Read one or two replies; a refused command is a value, so that the next is read too."""
    replies: list[Any] = [None, None]
    for at in range(count):
        try:
            replies[at] = await connection.read_response()
        except ResponseError as error:
            replies[at] = error
    return replies[0], replies[1]
