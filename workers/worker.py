"""RQ's workers with our limits: one queue, few round trips, no commands from Redis."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final
from uuid import uuid4

import structlog
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, Worker
from rq.executions import Execution
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now as rq_now
from rq.worker import BaseWorker
from rq.worker_registration import register

from receiver.broker import ROTATION
from workers.guarded import JobFunction, guard
from workers.lifeline import Stop, die_with
from workers.metrics import WorkerMetrics

WORKER_TTL: Final = 20
"""Seconds. An idle worker waits for a job for 15 s less, and looks after the queue in between."""

MAINTENANCE_INTERVAL: Final = 10
JOB_MONITORING_INTERVAL: Final = 10
MAINTENANCE_LOCK: Final = 60
STUCK_AFTER: Final = timedelta(seconds=10)
HEARTBEAT_EVERY: Final = timedelta(seconds=5)
SUSPENSION_EVERY: Final = 1.0
REDIS_POLL: Final = 1.0

_log = structlog.get_logger("workers.worker")


class _Intermediate(IntermediateQueue):
    """Where a popped job stands until it starts; one of a dead worker returns sooner than RQ's."""

    def should_be_cleaned_up(self, job_id: str) -> bool:
        first_seen = self.get_first_seen(job_id)
        return first_seen is not None and rq_now() - first_seen >= STUCK_AFTER


class OwnQueue(Queue):
    """A queue on which no job depends on another."""

    @property
    def intermediate_queue(self) -> IntermediateQueue:
        """Where popped jobs stand until they start."""
        return _Intermediate(self.key, connection=self.connection)

    def acquire_maintenance_lock(self) -> bool:
        """Take the lock for a minute: RQ's 15 outlive a worker killed while it holds it."""
        key = self.registry_cleaning_key
        return bool(self.connection.set(key, 1, nx=True, ex=MAINTENANCE_LOCK))

    def move_dependents_to_ready(self, *_: Any, **__: Any) -> dict[str, list[str]]:
        """Do nothing: jobs with dependencies are refused."""
        return {}


class _Serving(BaseWorker):
    """What our workers do otherwise than RQ's; the rest is RQ's."""

    queue_class = OwnQueue
    log_result_lifespan = False
    max_connection_wait_time = 5.0
    metrics: WorkerMetrics
    stop: Stop
    _asked_for_suspension = float("-inf")

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop after the job in hand."""
        return self._shutdown_requested_date is not None

    def _install_signal_handlers(self) -> None:
        """Listen to signals as RQ does, and heed one that came before."""
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]  # RQ's
        if self.stop.requested:
            self._shutdown_requested_date = rq_now()
            self._stop_requested = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Begin nothing new: neither this worker nor the job in hand."""
        self.stop.requested = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ's

    def subscribe(self) -> None:
        """Take no commands from Redis: they need a connection and a thread, and anyone sends."""

    def set_shutdown_requested_date(self) -> None:
        """Write nothing: a signal handler must not wait for Redis, nor fail the job in hand."""

    def clean_group_registries(self) -> None:
        """Do nothing: jobs in groups are refused."""

    def check_for_suspension(self, burst: bool) -> None:  # noqa: FBT001 - RQ's signature
        """Honour `rq suspend`, asking once a second rather than before every job."""
        if time.monotonic() - self._asked_for_suspension >= SUSPENSION_EVERY:
            super().check_for_suspension(burst)
            self._asked_for_suspension = time.monotonic()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Write the worker's state if it is another than before."""
        if pipeline is not None or state != self._state:
            super().set_state(state, pipeline)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Say that this worker lives: in one round trip, and not before every command.

        A Redis that lost its data does not know the worker any more, so it registers again.
        """
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            return
        last = self.last_heartbeat
        if timeout is None and last is not None and rq_now() - last < HEARTBEAT_EVERY:
            return
        with self.connection.pipeline(transaction=True) as pipe:
            super().heartbeat(timeout, pipe)
            created = pipe.execute()[0]
            if created:
                pipe.hset(self.key, mapping=self.serialize())
                register(self, pipe)
                pipe.execute()

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """Note the end; RQ also writes a heartbeat for callbacks, which our jobs cannot have."""
        del queue, heartbeat_ttl
        job.ended_at = rq_now()

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """Perform the job and measure it."""
        function = str(job.func_name).rpartition(".")[2]
        began = time.perf_counter()
        performed: bool = super().perform_job(job, queue, execution)
        self.metrics.job_seconds.labels(function).observe(time.perf_counter() - began)
        if not performed:
            self.metrics.jobs_failed.labels(function).inc()
        return performed

    def handle_exception(
        self,
        job: Job,
        kind: type[BaseException],
        value: BaseException,
        trace: TracebackType | None,
    ) -> None:
        """Log what was raised and where, without the job's arguments or the error's text."""
        del value
        frames = traceback.extract_tb(trace)
        _log.error(
            "job.failed",
            job_id=job.id,
            queue=job.origin,
            function=job.func_name,
            error=kind.__name__,
            where=[f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames],
        )

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Record the failure, or put the job back, keeping no error's text in Redis."""
        if exc_string.startswith("Traceback"):
            exc_string = "raised; the log line job.failed of this job says what and where"
        super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)


class EventsWorker(_Serving, SimpleWorker):
    """Performs jobs in its own process: many short ones, which bound their own time."""


class RotationWorker(_Serving, Worker):
    """Performs each job in a process of its own: time limits hold, and keys leave no heap."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Perform the job in the child, which ends when this worker is killed."""
        assert self.pid is not None
        die_with(self.pid)
        super().main_work_horse(job, queue)


def build(
    queue: str, redis: Redis, functions: Iterable[JobFunction], metrics: WorkerMetrics, stop: Stop
) -> EventsWorker | RotationWorker:
    """Return the worker of one queue; it asks Redis for its own address.

    Args:
        queue: its name; `rotation` gets a process for each job.
        redis: its own client, which it will block in.
        functions: all that a job may call.
        metrics: what its jobs move.
        stop: a request to stop that may come before the worker listens itself.
    """
    kind = RotationWorker if queue == ROTATION else EventsWorker
    worker = kind(
        [queue],
        name=f"{queue}-{os.getpid()}-{uuid4().hex[:8]}",
        connection=redis,
        job_class=guard(functions, metrics),
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL,
        maintenance_interval=MAINTENANCE_INTERVAL,
        job_monitoring_interval=JOB_MONITORING_INTERVAL,
        log_job_description=False,
    )
    worker.metrics = metrics
    worker.stop = stop
    return worker


def await_redis(redis: Redis, stop: Stop) -> bool:
    """Wait until Redis answers; False if the wish to stop came first."""
    told = False
    while not stop.requested:
        try:
            redis.ping()
        except RedisError as error:
            if not told:
                _log.warning("redis.awaited", error=type(error).__name__)
            told = True
            stop.wait(REDIS_POLL)
        else:
            return True
    return False


def serve(
    queue: str, redis: Redis, functions: Iterable[JobFunction], metrics: WorkerMetrics, stop: Stop
) -> int:
    """Work on one queue until asked to stop; return the exit status.

    Returns:
        0 after a request to stop, 1 when Redis was lost: whoever started this starts it again.
    """
    # what RQ says at `info` our own lines say better; at `debug` it quotes errors' texts
    logging.getLogger("rq").setLevel(logging.WARNING)
    try:
        if not await_redis(redis, stop):
            return 0
        worker = build(queue, redis, functions, metrics, stop)
        _log.info("worker.started", queue=queue, worker=worker.name)
        worker.work(logging_level=None)
    except RedisError as error:
        _log.error("worker.lost_redis", queue=queue, error=type(error).__name__)
        return 0 if stop.requested else 1
    _log.info("worker.ended", queue=queue, worker=worker.name, asked=worker.stopping)
    return 0 if worker.stopping else 1
