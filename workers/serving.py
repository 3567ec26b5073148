"""What our workers do otherwise than RQ's: few round trips, no commands from Redis."""

from __future__ import annotations

import time
import traceback
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

import structlog
from redis.client import Pipeline
from rq import Queue
from rq.executions import Execution
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.utils import now as rq_now
from rq.worker import BaseWorker
from rq.worker_registration import register

from workers.lifeline import Stop
from workers.metrics import WorkerMetrics

MAINTENANCE_LOCK: Final = 60
STUCK_AFTER: Final = timedelta(seconds=10)
HEARTBEAT_EVERY: Final = timedelta(seconds=5)
SUSPENSION_EVERY: Final = 1.0

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


class Serving(BaseWorker):
    """A worker of one queue; whatever it does not do otherwise is RQ's."""

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
