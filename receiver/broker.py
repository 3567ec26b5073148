"""Redis as the edge knows it: key names, connections, RQ's job form, the accept script.

The only module of the receiver that knows RQ. Jobs carry safe keys, never payloads, and are
written exactly as `rq.Queue.enqueue` would write them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

import orjson
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.retry import Retry as RedisRetry
from rq import Queue, Retry
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now as rq_now

from receiver import sentinel
from receiver.event import CONFIG_APPLIED, CREDENTIAL_EXPIRING, KINDS, UNKNOWN, quoted
from receiver.settings import CommonSettings

EVENTS: Final = "events"
EVENTS_BULK: Final = "events-bulk"
NOTIFICATIONS: Final = "notifications"
ROTATION: Final = "rotation"
QUEUES: Final = (EVENTS, EVENTS_BULK, NOTIFICATIONS, ROTATION)

QUEUE_OF: Final[Mapping[str, str]] = {
    kind: EVENTS if kind in {CREDENTIAL_EXPIRING, CONFIG_APPLIED, UNKNOWN} else EVENTS_BULK
    for kind in KINDS
}
"""The queue of each kind: rare ones never wait behind a storm."""

PROCESS_EVENTS: Final = "workers.jobs.process_events"

JOB_TIMEOUT: Final = 180
FAILURE_TTL: Final = 86_400
RETRIES_OF_A_LOST_WORKER: Final = 3

ACCEPT_LUA: Final = "accept.lua"

Wait = tuple[str | int, ...]
"""A command, its milliseconds last, that answers how many servers have what was written."""

FSYNC: Final[Wait] = ("WAITAOF", 1, 0)
"""Waits until this server's disk has it."""

REPLICATION: Final[Wait] = ("WAIT", 1)
"""Waits until a replica has it: in its memory, not on its disk."""

_WINDOW_BITS: Final = 9
_MEMORY: Final = 1
"""The least work space that zlib takes; its 268 KB would cost more than the rest of a commit."""

_UNCONNECTED: Final = cast("Redis", object())
"""RQ asks for a connection even to serialize a job; serializing never uses it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Every Redis key name that the edge and the ledger share, under one prefix."""

    prefix: str

    def event(self, key: str) -> str:
        """Name the ledger record of an event (string, JSON)."""
        return f"{self.prefix}:event:{key}"

    def body(self, key: str) -> str:
        """Name the stored body of an event (string, wire form)."""
        return f"{self.prefix}:body:{key}"

    def inflight(self, kind: str) -> str:
        """Name the index of events not settled yet (sorted set by time of receipt)."""
        return f"{self.prefix}:inflight:{kind}"

    def dead(self, kind: str) -> str:
        """Name the index of dead letters (sorted set by time of death)."""
        return f"{self.prefix}:dead:{kind}"

    def quarantine(self, endpoint: str) -> str:
        """Name the index of an endpoint's quarantined bodies (sorted set by time)."""
        return f"{self.prefix}:quarantine:{endpoint}"

    def quarantined(self, key: str) -> str:
        """Name the record of a quarantined body (hash)."""
        return f"{self.prefix}:quarantined:{key}"

    @property
    def retry(self) -> str:
        """Name the index of events that wait for their next attempt (sorted set by time)."""
        return f"{self.prefix}:retry"

    @property
    def done(self) -> str:
        """Name the index of recently settled events (sorted set by time, trimmed)."""
        return f"{self.prefix}:done"

    @property
    def running(self) -> str:
        """Name the index of jobs that a live worker holds (sorted set by end of lease)."""
        return f"{self.prefix}:running"

    @property
    def counters(self) -> str:
        """Name the counters that move with each transition (hash)."""
        return f"{self.prefix}:counters"

    @property
    def used(self) -> str:
        """Name the last use of each signing key (hash, `endpoint/label` to Unix seconds)."""
        return f"{self.prefix}:keys"

    @property
    def held(self) -> str:
        """Name the bodies and bytes that quarantine holds by endpoint (hash)."""
        return f"{self.prefix}:quarantine-held"

    @property
    def history(self) -> str:
        """Name the trail of what operators did (stream, trimmed)."""
        return f"{self.prefix}:history"

    @property
    def tick(self) -> str:
        """Name the lease that all ticks compete for (string)."""
        return f"{self.prefix}:tick"


class JobFields(NamedTuple):
    """One RQ job, ready to be pushed: its ids and the flat field list of its hash."""

    id: str
    queue: str
    key: str
    queue_key: str
    fields: tuple[Any, ...]


def job_fields(
    function: str,
    args: Sequence[Any],
    *,
    queue: str,
    job_id: str,
    timeout: int = JOB_TIMEOUT,
) -> JobFields:
    """Return a job as RQ itself would write it.

    Args:
        function: the dotted name of the job function.
        args: JSON values; safe keys only, they stay readable in Redis.
        queue: one of `QUEUES`.
        job_id: letters, digits, `_` and `-`.
        timeout: seconds after which RQ interrupts the job.
    """
    fields = dict(_rq_fields(function, queue, timeout))
    now = f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    fields["created_at"] = fields["enqueued_at"] = now
    call = orjson.dumps((function, None, args, {}))
    # The form is zlib's, which RQ reads; but safe keys are noise that shrinks little for much work.
    packer = zlib.compressobj(zlib.Z_NO_COMPRESSION, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    fields["data"] = packer.compress(call) + packer.flush()
    flat = tuple(part for pair in fields.items() for part in pair)
    queue_key = f"{Queue.redis_queue_namespace_prefix}{queue}"
    return JobFields(job_id, queue, Job.key_for(job_id), queue_key, flat)


@lru_cache(maxsize=64)
def _rq_fields(function: str, queue: str, timeout: int) -> Mapping[str, Any]:
    """Return what RQ writes for a job of this kind, whatever its id, arguments and times."""
    job = Job.create(
        function,
        connection=_UNCONNECTED,
        origin=queue,
        timeout=timeout,
        result_ttl=0,
        failure_ttl=FAILURE_TTL,
        description=function,
        status=JobStatus.QUEUED,
        retry=Retry(max=RETRIES_OF_A_LOST_WORKER),
        serializer=JSONSerializer,
    )
    job.enqueued_at = rq_now()
    fields: Mapping[str, Any] = job.to_dict()
    return fields


def queues_key() -> str:
    """Name RQ's set of queues."""
    return Queue.redis_queues_keys


def script_args(job: JobFields) -> list[Any]:
    """Return a job as the Lua scripts take it: queue key, job key, id, count, fields."""
    return [job.queue_key, job.key, job.id, len(job.fields), *job.fields]


def enqueue(redis: Redis, jobs: Sequence[JobFields]) -> None:
    """Push jobs in one transaction, leaving in Redis what RQ would leave there."""
    with redis.pipeline(transaction=True) as pipe:
        for job in jobs:
            pipe.sadd(queues_key(), job.queue_key)
            pipe.hset(job.key, items=list(job.fields))
            pipe.rpush(job.queue_key, job.id)
        pipe.execute()


def new_record(digest: str, kind: str, received_at: str, label: str, job_id: str) -> str:
    """Return the ledger record of a new event: one JSON string, which the scripts decode.

    Args:
        digest: of the raw body, by `receiver.event.body_digest`.
        kind: one of `receiver.event.KINDS`.
        received_at: from `receiver.event.moment`; its job is on its way from then on.
        label: the signing key's.
        job_id: the RQ job that will process it.
    """
    return (
        f'{{"state":"inflight","digest":"{digest}","kind":"{kind}","received_at":{received_at},'
        f'"label":{quoted(label)},"job":"{job_id}","queued_at":{received_at}}}'
    )


def texts(members: Iterable[Any]) -> list[str]:
    """Return what Redis answered as text; our names are ASCII, its replies bytes."""
    return [member.decode() for member in members]


def accept_script() -> str:
    """Return the text of the script that commits a batch."""
    return files(__package__).joinpath(ACCEPT_LUA).read_text(encoding="utf-8")


def connect(settings: CommonSettings) -> Redis:
    """Return a blocking client; it connects at first use."""
    url = settings.redis_url.get_secret_value()
    if url.startswith(sentinel.SCHEMES):
        return sentinel.client(url, _client_options(settings))
    return Redis.from_url(url, **_client_options(settings))


def connect_async(settings: CommonSettings) -> AsyncRedis:
    """Return an asyncio client; it connects at first use."""
    # The intake bounds each of its calls as a whole; a time-out per read would cost a task each.
    options = _client_options(settings) | {"retry": None, "socket_timeout": None}
    url = settings.redis_url.get_secret_value()
    if url.startswith(sentinel.SCHEMES):
        return sentinel.async_client(url, options)
    return AsyncRedis.from_url(url, **options)


def server_name(settings: CommonSettings) -> str:
    """Return the server's address without user or password, for logs."""
    url = settings.redis_url.get_secret_value()
    if url.startswith(sentinel.SCHEMES):
        return sentinel.parse(url).name
    parts = urlsplit(url)
    where = parts.hostname or parts.path
    return f"{parts.scheme}://{where}" + (f":{parts.port}" if parts.port else "")


def _client_options(settings: CommonSettings) -> dict[str, Any]:
    """Return time-outs in seconds; repeats are the caller's decision, never the client's.

    A wait for durability ends by itself within the commit's time-out. A server that is silent for
    longer than that and a little more is taken for lost: its name may lead to another by then.
    """
    return {
        "socket_connect_timeout": 5,
        "socket_timeout": settings.commit_timeout + 5,
        "health_check_interval": 15,
        "retry": RedisRetry(NoBackoff(), 0),
        "client_name": "synap-hooks",
    }
