"""Only declared functions run, whatever a job hash in Redis says."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError

from receiver.broker import EVENTS
from tests.sink import Sink
from tests.workers import probe
from tests.workers.probe import push
from workers.guarded import GuardedJob, guard
from workers.lifeline import Stop
from workers.metrics import RefusedJob, WorkerMetrics
from workers.worker import EventsWorker, build

FORBIDDEN = f"{probe.NAME}.forbidden"


@pytest.fixture
def metrics() -> WorkerMetrics:
    """Return metrics in a registry of their own."""
    return WorkerMetrics(CollectorRegistry())


@pytest.fixture
def worker(redis: Redis, metrics: WorkerMetrics) -> Iterator[EventsWorker]:
    """Yield a worker that knows `probe.note` and `probe.explode` alone."""
    probe.RAN.clear()
    made = build(EVENTS, redis, (probe.note, probe.explode), metrics, Stop())
    assert isinstance(made, EventsWorker)
    yield made
    probe.RAN.clear()


def refused(metrics: WorkerMetrics, reason: RefusedJob) -> float:
    """Return how often jobs were refused for a reason."""
    return metrics.jobs_refused.labels(reason)._value.get()


def webhook(url: str, status: str) -> bytes:
    """Return the field with which RQ keeps a job's webhooks."""
    hook = {"url": url, "job_status": status, "method": "POST", "headers": None, "timeout": 5}
    return json.dumps([hook]).encode()


def test_declared_function_runs(redis: Redis, worker: EventsWorker) -> None:
    """A job of a declared function runs with its arguments and leaves nothing behind."""
    job = push(redis, args=["hello"])

    worker.work(burst=True)

    assert probe.RAN == ["hello"]
    assert redis.exists(job.key) == 0


def test_os_system_does_not_run(
    redis: Redis, worker: EventsWorker, metrics: WorkerMetrics, tmp_path: Path
) -> None:
    """A forged job that names os.system runs nothing, is counted and is gone."""
    marker = tmp_path / "ran"
    job = push(redis, "os.system", [f"touch {marker}"])
    push(redis, args=["after"], job_id="job-2")

    worker.work(burst=True)

    assert not marker.exists()
    assert probe.RAN == ["after"]
    assert redis.exists(job.key) == 0
    assert refused(metrics, RefusedJob.FUNCTION) == 1


def test_undeclared_module_is_not_imported(
    redis: Redis, worker: EventsWorker, tmp_path: Path
) -> None:
    """A forged job cannot even have a module imported."""
    marker = tmp_path / "imported"
    (tmp_path / "trap_of_test.py").write_text(f"open({str(marker)!r}, 'w')\ndef go(): pass\n")
    sys.path.insert(0, str(tmp_path))
    push(redis, "trap_of_test.go", [])

    worker.work(burst=True)

    sys.path.remove(str(tmp_path))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        pytest.param({"success_callback_name": FORBIDDEN}, RefusedJob.CALLBACK, id="on-success"),
        pytest.param({"failure_callback_name": FORBIDDEN}, RefusedJob.CALLBACK, id="on-failure"),
        pytest.param({"stopped_callback_name": FORBIDDEN}, RefusedJob.CALLBACK, id="on-stop"),
        pytest.param({"dependency_ids": '["other"]'}, RefusedJob.DEPENDENCY, id="dependencies"),
        pytest.param({"dependency_id": "other"}, RefusedJob.DEPENDENCY, id="dependency"),
        pytest.param({"repeats_left": "3"}, RefusedJob.REPEAT, id="repeats"),
        pytest.param({"repeat_intervals": "[1]"}, RefusedJob.REPEAT, id="intervals"),
        pytest.param({"group_id": "g"}, RefusedJob.GROUP, id="group"),
        pytest.param({"rate_limit_key": "k"}, RefusedJob.RATE_LIMIT, id="rate-limit"),
        pytest.param({"data": b"no json"}, RefusedJob.MALFORMED, id="data-not-json"),
        pytest.param({"data": b'{"a": 1}'}, RefusedJob.MALFORMED, id="data-no-call"),
        pytest.param({"data": b'[["x"], null, [], {}]'}, RefusedJob.MALFORMED, id="data-list"),
        pytest.param({"data": b"[" * 100_000}, RefusedJob.MALFORMED, id="data-nested"),
        pytest.param({"status": "odd"}, RefusedJob.MALFORMED, id="status"),
        pytest.param({"timeout": "soon"}, RefusedJob.MALFORMED, id="timeout"),
        pytest.param({"retries_left": "x"}, RefusedJob.MALFORMED, id="retries"),
        pytest.param({"created_at": "never"}, RefusedJob.MALFORMED, id="created"),
        pytest.param(
            {"data": json.dumps([f"{probe.NAME}.note", {"a": 1}, [1], {}])},
            RefusedJob.INSTANCE,
            id="instance",
        ),
    ],
)
def test_undeclared_extra_is_refused(
    redis: Redis,
    worker: EventsWorker,
    metrics: WorkerMetrics,
    extra: Mapping[str, Any],
    reason: RefusedJob,
) -> None:
    """A declared function with anything undeclared beside it does not run either."""
    job = push(redis, extra=extra)

    worker.work(burst=True)

    assert probe.RAN == []
    assert redis.exists(job.key) == 0
    assert refused(metrics, reason) == 1


@pytest.mark.parametrize("function", ["note", "explode"])
def test_webhook_is_not_posted(
    redis: Redis, worker: EventsWorker, metrics: WorkerMetrics, sink: Sink, function: str
) -> None:
    """A webhook in a forged job is posted neither on success nor on failure."""
    for status in ("finished", "failed"):
        extra = {"webhooks": webhook(sink.url, status)}
        push(redis, f"{probe.NAME}.{function}", ["x"], job_id=status, extra=extra)

    worker.work(burst=True)

    assert (probe.RAN, sink.seen) == ([], [])
    assert refused(metrics, RefusedJob.WEBHOOK) == 2


def test_abandoned_job_calls_nothing_back(redis: Redis, worker: EventsWorker) -> None:
    """RQ's look for abandoned jobs calls no forged failure callback."""
    extra = {"status": "started", "failure_callback_name": FORBIDDEN}
    job = push(redis, extra=extra)
    redis.lpop(job.queue_key)
    redis.zadd(f"rq:wip:{EVENTS}", {f"{job.id}:execution": 1})

    worker.clean_registries()

    assert probe.RAN == []
    assert redis.exists(job.key, f"rq:wip:{EVENTS}") == 0


def test_popped_job_calls_nothing_back(redis: Redis, worker: EventsWorker) -> None:
    """RQ's look for popped jobs forgets a forged one without calling what it names."""
    job = push(redis, "os.abort", [], extra={"failure_callback_name": FORBIDDEN})
    redis.lmove(job.queue_key, f"{job.queue_key}:intermediate")

    worker.clean_registries()

    assert probe.RAN == []
    assert redis.exists(job.key, f"{job.queue_key}:intermediate") == 0


def test_dependents_are_not_enqueued(redis: Redis, worker: EventsWorker) -> None:
    """A forged list of dependents brings no job to a queue when a job ends."""
    job = push(redis, args=["parent"])
    other = push(redis, "os.abort", [], queue="elsewhere", job_id="job-2")
    redis.delete(other.queue_key)
    redis.sadd(f"{job.key}:dependents", other.id)

    worker.work(burst=True)

    assert probe.RAN == ["parent"]
    assert redis.llen(other.queue_key) == 0


def test_malformed_id_is_passed_over(redis: Redis, worker: EventsWorker) -> None:
    """An id that no job can have does not end the worker."""
    redis.rpush(f"rq:queue:{EVENTS}", "no/such id")
    push(redis, args=["after"])

    worker.work(burst=True)
    worker.clean_registries()

    assert probe.RAN == ["after"]
    assert redis.llen(f"rq:queue:{EVENTS}:intermediate") == 0


def test_pickle_is_never_read(redis: Redis, metrics: WorkerMetrics) -> None:
    """A caller that names no serializer gets JSON, not pickle."""
    job_class = guard((probe.note,), metrics)
    push(redis, extra={"data": zlib.compress(b"\x80\x04N."), "meta": b"\x80\x04N."})

    with pytest.raises(NoSuchJobError):
        job_class.fetch("job-1", redis)


def test_fetch_many_leaves_out_refused(redis: Redis, metrics: WorkerMetrics) -> None:
    """Fetching many jobs yields None for those that are refused or gone."""
    job_class = guard((probe.note,), metrics)
    push(redis)
    push(redis, "os.system", ["true"], job_id="job-2")

    jobs = job_class.fetch_many(["job-1", "job-2", "job-3"], redis)

    assert [job and job.id for job in jobs] == ["job-1", None, None]


def test_job_can_be_deleted_by_hand(redis: Redis, metrics: WorkerMetrics) -> None:
    """Deleting a job that waits takes it from its queue, as RQ does."""
    job = push(redis)

    guard((probe.note,), metrics).fetch(job.id, redis).delete()

    assert redis.exists(job.key) == 0
    assert Queue(EVENTS, connection=redis).count == 0


def test_unbound_job_class_declares_nothing(redis: Redis, metrics: WorkerMetrics) -> None:
    """The class itself knows no function, so that forgetting to bind it fails closed."""
    assert dict(GuardedJob.functions) == {}
    assert guard((), metrics).functions == {}
    assert redis.dbsize() == 0
