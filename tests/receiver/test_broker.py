"""The job form is RQ's own, field by field."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import utcparse

from receiver.broker import (
    FAILURE_TTL,
    JOB_TIMEOUT,
    PROCESS_EVENTS,
    QUEUES,
    connect,
    enqueue,
    job_fields,
    queues_key,
    server_name,
)
from receiver.settings import CommonSettings, load

TIMES = {b"created_at", b"enqueued_at"}


def unpacked(fields: Mapping[bytes, bytes]) -> dict[bytes, Any]:
    """Return a job's hash with its call read, and its times in RQ's form."""
    call = json.loads(zlib.decompress(fields[b"data"]))
    times = {name: len(utcparse(fields[name].decode()).isoformat()) for name in TIMES}
    return {**fields, **times, b"data": call}


def test_a_job_is_what_rq_itself_would_write(redis: Redis) -> None:
    """The hash, the list and the set of queues equal what `Queue.enqueue` leaves."""
    queue = Queue("events", connection=redis, serializer=JSONSerializer)
    queue.enqueue(
        PROCESS_EVENTS,
        ["key-1", "key-2"],
        job_id="theirs",
        job_timeout=JOB_TIMEOUT,
        result_ttl=0,
        failure_ttl=FAILURE_TTL,
        description=PROCESS_EVENTS,
        retry=Retry(max=3),
    )

    ours = job_fields(PROCESS_EVENTS, [["key-1", "key-2"]], queue="events", job_id="ours")
    enqueue(redis, [ours])

    theirs = redis.hgetall(Job.key_for("theirs"))
    mine = redis.hgetall(Job.key_for("ours"))
    assert mine.keys() == theirs.keys()
    assert unpacked(mine) == unpacked(theirs)
    assert redis.lrange(ours.queue_key, 0, -1) == [b"theirs", b"ours"]
    assert redis.smembers(queues_key()) == {b"rq:queue:events"}


def test_rq_reads_the_job_back(redis: Redis) -> None:
    """RQ's own classes understand the job, its arguments and its limits."""
    enqueue(redis, [job_fields(PROCESS_EVENTS, [["key-1"]], queue="events", job_id="ours")])

    [job] = Queue("events", connection=redis, serializer=JSONSerializer).jobs

    assert (job.func_name, job.args, job.timeout) == (PROCESS_EVENTS, [["key-1"]], JOB_TIMEOUT)
    assert (job.retries_left, job.result_ttl, job.failure_ttl) == (3, 0, FAILURE_TTL)
    assert job.get_status() == "queued"


def test_rqs_own_worker_runs_it(redis: Redis) -> None:
    """A plain RQ worker takes such a job from the queue and finishes it."""
    enqueue(redis, [job_fields("json.dumps", [{}], queue="events", job_id="ours")])

    worker = SimpleWorker(["events"], connection=redis, serializer=JSONSerializer)
    worked = worker.work(burst=True, logging_level="WARNING")

    assert worked
    assert not redis.exists(Job.key_for("ours"))
    assert Queue("events", connection=redis).failed_job_registry.count == 0


@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_is_known_to_rq_after_a_push(redis: Redis, queue: str) -> None:
    """`rq info` lists a queue as soon as a job was pushed to it."""
    enqueue(redis, [job_fields(PROCESS_EVENTS, [[]], queue=queue, job_id="ours")])

    assert [found.name for found in Queue.all(connection=redis)] == [queue]


def test_a_silent_server_is_left_after_any_wait_for_durability() -> None:
    """A worker's client outlasts a commit's time-out, which a wait may take, and not by much."""
    settings = load(CommonSettings, {"SYNAP_COMMIT_TIMEOUT": "7s"})

    with connect(settings) as client:
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 12


def test_a_server_is_named_without_its_password() -> None:
    """The name of the server in logs carries neither user nor password."""
    settings = load(
        CommonSettings, {"SYNAP_REDIS_URL": "rediss://user:canary-password@redis.example:6380/2"}
    )

    assert server_name(settings) == "rediss://redis.example:6380"
    with connect(settings) as client:
        assert client.connection_pool.connection_kwargs["password"] == "canary-password"
