"""Workers: what a job costs, how they stop, what they survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, suspension
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import get_keys
from structlog.testing import capture_logs

from receiver.broker import EVENTS, ROTATION
from tests.servers import ROOT, RedisServer, start_redis, wait_for
from tests.workers import probe
from tests.workers.probe import push
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.worker import EventsWorker, RotationWorker, await_redis, build, serve

FUNCTIONS = (probe.note, probe.explode, probe.linger)
CANARY = "canary-5f2d"

CHILD = """
import sys
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.workers import probe
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.worker import serve

queue, socket = sys.argv[1:]
redis = Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0))
metrics = WorkerMetrics(CollectorRegistry())
sys.exit(serve(queue, redis, (probe.note, probe.linger), metrics, Stop().listen()))
"""


@pytest.fixture
def metrics() -> WorkerMetrics:
    """Return metrics in a registry of their own."""
    return WorkerMetrics(CollectorRegistry())


@pytest.fixture
def worker(redis: Redis, metrics: WorkerMetrics) -> Iterator[EventsWorker]:
    """Yield a worker of the queue `events`."""
    probe.RAN.clear()
    made = build(EVENTS, redis, FUNCTIONS, metrics, Stop())
    assert isinstance(made, EventsWorker)
    yield made
    probe.RAN.clear()


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """Yield a Redis that the test may kill."""
    server = start_redis()
    yield server
    server.close()


def started(queue: str, server: RedisServer) -> subprocess.Popen[bytes]:
    """Return a worker process that waits for a job, or has one in hand."""
    process = subprocess.Popen([sys.executable, "-c", CHILD, queue, str(server.socket)], cwd=ROOT)
    with server.client() as client:
        wait_for(lambda: {b"idle", b"busy"} & states(client, queue), what="the worker")
    return process


def states(client: Redis, queue: str) -> set[bytes | None]:
    """Return the states of the workers that are registered for a queue."""
    keys = get_keys(Queue(queue, connection=client))
    return {client.hget(key, "state") for key in keys}


def text(path: Path) -> str:
    """Return what a file holds; nothing if there is none."""
    return path.read_text() if path.exists() else ""


def test_class_follows_queue(redis: Redis, metrics: WorkerMetrics) -> None:
    """Rotation works in a process per job; every worker serves one queue, without scheduler."""
    events = build(EVENTS, redis, FUNCTIONS, metrics, Stop())
    rotation = build(ROTATION, redis, FUNCTIONS, metrics, Stop())

    assert (type(events), type(rotation)) == (EventsWorker, RotationWorker)
    assert (events.queue_names(), rotation.queue_names()) == ([EVENTS], [ROTATION])
    assert events.scheduler is None
    assert events.serializer is JSONSerializer


def test_job_costs_few_round_trips(redis_server: RedisServer, metrics: WorkerMetrics) -> None:
    """A job costs the worker at most 5 round trips, a sixth of what RQ's own takes."""
    with redis_server.client() as client:
        redis_server.flush()
        worker = build(EVENTS, client, FUNCTIONS, metrics, Stop())
        for number in range(50):
            push(client, job_id=f"job-{number}")
        sent = _count_round_trips(client)
        worker.work(burst=True)

    assert sum(sent) / 50 <= 5


def _count_round_trips(client: Redis) -> list[int]:
    """Return a list that grows by one with each request that the client sends."""
    sent: list[int] = []
    connection_class = client.connection_pool.connection_class

    class Counting(connection_class):  # type: ignore[misc, valid-type]
        def send_packed_command(self, *args: Any, **options: Any) -> None:
            sent.append(1)
            super().send_packed_command(*args, **options)

    client.connection_pool.disconnect()
    client.connection_pool.reset()
    client.connection_pool.connection_class = Counting
    return sent


class Signalled(EventsWorker):
    """A worker that is asked to stop just when it has noted the end of a job."""

    def handle_job_success(self, *args: Any, **options: Any) -> None:
        super().handle_job_success(*args, **options)
        os.kill(os.getpid(), signal.SIGTERM)


def test_request_to_stop_at_the_end_of_a_job_does_not_fail_it(
    redis: Redis, worker: EventsWorker
) -> None:
    """A job whose end is written is done: a signal that comes right after ends the worker only."""
    worker.__class__ = Signalled
    job = push(redis)

    with capture_logs() as lines:
        worker.work(burst=True)

    assert [line for line in lines if line["event"] == "job.failed"] == []
    assert not Job.exists(job.id, connection=redis)
    assert worker.stopping


def test_failed_job_is_measured_and_logged_without_text(
    redis: Redis, worker: EventsWorker, metrics: WorkerMetrics
) -> None:
    """A job that raises is tried again, then kept failed; no text of the error is kept or said."""
    job = push(redis, f"{probe.NAME}.explode", [CANARY])

    with capture_logs() as lines:
        worker.work(burst=True)

    said = [line for line in lines if line["event"] == "job.failed"]
    assert [line["error"] for line in said] == ["ValueError"] * 4
    assert said[0]["where"][-1].startswith("probe.py:")
    assert CANARY not in str(lines)
    assert metrics.jobs_failed.labels("explode")._value.get() == 4
    failure = Job.fetch(job.id, redis, JSONSerializer).latest_result()
    assert failure is not None
    assert CANARY not in str(failure.exc_string)
    assert 0 < redis.ttl(job.key) <= 86_400


def test_rq_logs_no_arguments(
    redis: Redis, worker: EventsWorker, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of a job's arguments reaches any log."""
    structlog.reset_defaults()
    push(redis, args=[CANARY])
    push(redis, f"{probe.NAME}.explode", [CANARY], job_id="job-2")

    worker.work(burst=True)

    assert probe.RAN == [CANARY]
    assert CANARY not in "".join(capfd.readouterr())


def test_popped_job_of_a_dead_worker_comes_back(redis: Redis, worker: EventsWorker) -> None:
    """A job that was popped and never started is back on its queue after ten seconds."""
    job = push(redis)
    redis.lmove(job.queue_key, f"{job.queue_key}:intermediate")

    worker.clean_registries()
    too_early = redis.llen(job.queue_key)
    first_seen = f"{job.queue_key}:intermediate:first_seen:{job.id}"
    redis.set(first_seen, time.time() - 10.5)
    worker.clean_registries()

    assert too_early == 0
    assert redis.lrange(job.queue_key, 0, -1) == [job.id.encode()]


def test_maintenance_lock_outlives_no_worker_for_long(redis: Redis, worker: EventsWorker) -> None:
    """A worker killed while it holds RQ's lock blocks maintenance for a minute, not fifteen."""
    queue = worker.queues[0]

    assert queue.acquire_maintenance_lock()
    assert not queue.acquire_maintenance_lock()
    assert redis.ttl(queue.registry_cleaning_key) <= 60


def test_suspension_is_honoured(redis: Redis, worker: EventsWorker) -> None:
    """`rq suspend` keeps a worker from working."""
    push(redis)
    suspension.suspend(redis)

    worker.work(burst=True)

    assert probe.RAN == []


def test_worker_registers_again_after_data_loss(redis: Redis, worker: EventsWorker) -> None:
    """A Redis that lost its data knows the worker again after the next heartbeat."""
    worker.register_birth()
    redis.flushall()

    worker.heartbeat(timeout=60)

    assert get_keys(worker.queues[0]) == {worker.key}
    assert 0 < redis.ttl(worker.key) <= 60


def test_no_commands_are_taken(redis: Redis, worker: EventsWorker) -> None:
    """A worker subscribes to nothing, so nobody stops it through Redis."""
    worker.bootstrap(None)

    assert redis.pubsub_channels() == []
    worker.teardown()


@pytest.mark.parametrize("queue", [EVENTS, ROTATION])
def test_sigterm_finishes_the_job_in_hand(
    redis: Redis, redis_server: RedisServer, tmp_path: Path, queue: str
) -> None:
    """SIGTERM lets a worker finish its job, take no other, and end with status 0."""
    path = tmp_path / "progress"
    push(redis, f"{probe.NAME}.linger", [str(path), 1.0], queue=queue)
    push(redis, f"{probe.NAME}.linger", [str(path), 1.0], queue=queue, job_id="job-2")
    process = started(queue, redis_server)
    wait_for(lambda: text(path) == "began ", what="the first job")

    process.send_signal(signal.SIGTERM)
    status = process.wait(20)

    assert (status, text(path)) == (0, "began ended ")
    assert redis.lrange(f"rq:queue:{queue}", 0, -1) == [b"job-2"]


def test_idle_worker_stops_at_once(redis: Redis, redis_server: RedisServer) -> None:
    """SIGTERM ends a worker that waits for a job, and unregisters it."""
    process = started(EVENTS, redis_server)
    began = time.monotonic()

    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 0
    assert time.monotonic() - began < 3
    assert get_keys(Queue(EVENTS, connection=redis)) == set()


def test_lost_redis_ends_a_worker_in_its_job(mortal: RedisServer, tmp_path: Path) -> None:
    """A worker whose Redis dies under its job ends with status 1, to be started again."""
    path = tmp_path / "progress"
    with mortal.client() as client:
        push(client, f"{probe.NAME}.linger", [str(path), 1.0])
    process = started(EVENTS, mortal)
    wait_for(lambda: text(path) == "began ", what="the job")

    mortal.kill()

    assert process.wait(20) == 1


def test_idle_worker_survives_a_restart_of_redis(mortal: RedisServer, tmp_path: Path) -> None:
    """A worker that waits for a job goes on when Redis is back."""
    process = started(EVENTS, mortal)

    mortal.restart()
    path = tmp_path / "progress"
    with mortal.client() as client:
        push(client, f"{probe.NAME}.linger", [str(path), 0.0])
    wait_for(lambda: text(path) == "began ended ", what="the job")

    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_horse_dies_with_its_worker(
    redis: Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Killing a rotation worker ends its job too: a step is resumed, never run twice at once."""
    path = tmp_path / "progress"
    push(redis, f"{probe.NAME}.linger", [str(path), 2.0], queue=ROTATION)
    process = started(ROTATION, redis_server)
    wait_for(lambda: text(path) == "began ", what="the job")

    process.kill()
    process.wait()
    time.sleep(2.5)

    assert text(path) == "began "


def test_serve_waits_for_redis(metrics: WorkerMetrics) -> None:
    """A Redis that is absent at start is no error; a request to stop ends the wait."""
    stop = Stop()
    absent = Redis(unix_socket_path="/tmp/no-such-redis.sock", retry=Retry(NoBackoff(), 0))
    threading.Timer(0.3, lambda: setattr(stop, "requested", True)).start()

    assert serve(EVENTS, absent, FUNCTIONS, metrics, stop) == 0


def test_await_redis_returns_when_it_is_back(redis_server: RedisServer) -> None:
    """The wait ends as soon as Redis answers."""
    with redis_server.client() as client:
        assert await_redis(client, Stop())


def test_request_before_start_is_heeded(redis: Redis, metrics: WorkerMetrics) -> None:
    """A request to stop that came while the worker was being built is not lost."""
    stop = Stop()
    worker = build(EVENTS, redis, FUNCTIONS, metrics, stop)
    push(redis)
    stop.requested = True
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    worker.work()

    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert worker.stopping
    assert redis.llen(f"rq:queue:{EVENTS}") == 1
    assert os.getpid() == worker.pid
