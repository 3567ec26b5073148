"""What crosses Redis by name exists on the other side."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from receiver import broker
from tests.servers import ROOT
from workers import jobs
from workers.metrics import JOB_FUNCTIONS

NAMED = sorted(
    {
        name
        for package in ("receiver", "workers")
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r'"(workers\.jobs\.\w+)"', path.read_text())
    }
)


@pytest.mark.parametrize("name", NAMED)
def test_name_resolves(name: str) -> None:
    """Each job name that is written to Redis is a function that takes one list."""
    module, _, function = name.rpartition(".")

    parameters = inspect.signature(getattr(import_module(module), function)).parameters

    assert len(parameters) == 1


def test_every_job_is_counted() -> None:
    """Each job function has its metric series, and each series its function."""
    functions = {
        name
        for name, found in vars(jobs).items()
        if inspect.isfunction(found) and found.__module__ == jobs.__name__
    }

    assert functions == set(JOB_FUNCTIONS)
    assert {name.rpartition(".")[2] for name in NAMED} == functions


def test_job_hash_is_what_rq_writes(redis: Redis) -> None:
    """A job of ours has field by field what `Queue.enqueue` itself would have written."""
    ours = broker.job_fields(
        broker.PROCESS_EVENTS, [["a" * 64]], queue=broker.EVENTS, job_id="ours"
    )
    broker.enqueue(redis, [ours])
    template = Job.fetch("ours", redis, JSONSerializer)
    queue = Queue(broker.EVENTS, connection=redis, serializer=JSONSerializer)
    theirs = queue.enqueue(
        broker.PROCESS_EVENTS,
        ["a" * 64],
        job_id="theirs",
        job_timeout=template.timeout,
        result_ttl=template.result_ttl,
        failure_ttl=template.failure_ttl,
        description=template.description,
        retry=Retry(max=broker.RETRIES_OF_A_LOST_WORKER),
    )

    written, expected = (redis.hgetall(f"rq:job:{name}") for name in ("ours", "theirs"))

    clocks = {b"created_at", b"enqueued_at"}
    assert written.keys() == expected.keys()
    assert {name for name in expected if written[name] != expected[name]} <= clocks
    assert template.args == list(theirs.args)
    assert queue.job_ids == ["ours", "theirs"]
    assert redis.smembers("rq:queues") == {b"rq:queue:events"}
