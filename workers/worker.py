"""RQ's workers with our limits: one queue for each, and only declared functions."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any, Final
from uuid import uuid4

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, Worker
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from receiver.broker import ROTATION
from workers.guarded import JobFunction, guard
from workers.lifeline import Stop, die_with
from workers.metrics import WorkerMetrics
from workers.serving import Serving

WORKER_TTL: Final = 20
"""Seconds. An idle worker waits for a job for 15 s less, and looks after the queue in between."""

MAINTENANCE_INTERVAL: Final = 10
JOB_MONITORING_INTERVAL: Final = 10
REDIS_POLL: Final = 1.0

_log = structlog.get_logger("workers.worker")


class EventsWorker(Serving, SimpleWorker):
    """Performs jobs in its own process: many short ones, which bound their own time."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Perform the job; only after its end does a request to stop interrupt this worker."""
        execution = self.prepare_execution(job)
        if self.perform_job(job, queue, execution):
            self._state = WorkerStatus.IDLE  # as it was written with the job's end
        else:
            self.set_state(WorkerStatus.IDLE)

    def prepare_execution(self, job: Job) -> Execution:
        """Note that the job is being executed, and that it has left the queue."""
        lifetime = self.get_heartbeat_ttl(job)
        with self.connection.pipeline(transaction=True) as pipe:
            execution = Execution.create(job, lifetime, pipeline=pipe, worker_name=self.name)
            self.executions[execution.id] = execution
            self.set_state(WorkerStatus.BUSY, pipe)
            self.heartbeat(lifetime, pipe)
            job.prepare_for_execution(self.name, pipeline=pipe)
            pipe.persist(job.key)
            pipe.lrem(self.queues[0].intermediate_queue_key, 1, job.id)
            pipe.execute()
        return execution

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:  # noqa: FBT001, FBT002 - RQ's signature
        """Do nothing more: what RQ notes here stands in the transaction before."""

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: Any, execution: Execution
    ) -> None:
        """Note the success and forget the job: no results, no dependents to watch for."""
        del queue, started_job_registry
        assert job.started_at
        assert job.ended_at
        with self.connection.pipeline(transaction=True) as pipe:
            self.increment_successful_job_count(pipe)
            self.increment_total_working_time(job.ended_at - job.started_at, pipe)
            job.cleanup(0, pipeline=pipe, remove_from_queue=False)
            self.cleanup_execution(job, pipe, execution)
            pipe.hset(self.key, "state", WorkerStatus.IDLE)
            pipe.execute()


class RotationWorker(Serving, Worker):
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
