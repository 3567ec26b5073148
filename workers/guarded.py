"""The one gate between a job hash in Redis and code: declared functions only.

A job hash may name any function, callback or URL, and RQ's own worker would import, call or post
to it. Whatever is read from a hash passes `GuardedJob.restore`, and a job with anything undeclared
in it ceases to exist there, before any name in it is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import structlog
from redis import Redis
from redis.client import Pipeline
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from workers.metrics import RefusedJob, WorkerMetrics

JobFunction = Callable[..., object]

_log = structlog.get_logger("workers.guarded")


class GuardedJob(Job):
    """A job that can only be one of `functions`, and nothing beside its call.

    Jobs are bound to their table and to what counts refusals by `guard`.
    """

    functions: ClassVar[Mapping[str, JobFunction]] = MappingProxyType({})
    metrics: ClassVar[WorkerMetrics]

    def __init__(
        self, job_id: str | None = None, connection: Redis | None = None, serializer: Any = None
    ) -> None:
        del serializer  # a caller that names none would get pickle
        super().__init__(job_id, connection, JSONSerializer)

    @property
    def func(self) -> JobFunction:
        """The declared function; nothing is ever imported by a name that came from Redis."""
        return self.functions[str(self.func_name)]

    @classmethod
    def fetch(cls, job_id: str, connection: Redis | None = None, serializer: Any = None) -> Job:
        """Read a job.

        Raises:
            NoSuchJobError: there is none, it was refused, or its id is none that RQ accepts.
        """
        try:
            return super().fetch(job_id, connection, serializer)
        except ValueError:
            raise NoSuchJobError("the job's id is malformed") from None

    @classmethod
    def fetch_many(
        cls, job_ids: Iterable[str], connection: Redis, serializer: Any = None
    ) -> list[Job | None]:
        """Read jobs; None stands for those that `fetch` would not return."""
        jobs: list[Job | None] = []
        for job_id in job_ids:
            try:
                jobs.append(cls.fetch(job_id, connection, serializer))
            except NoSuchJobError:
                jobs.append(None)
        return jobs

    def restore(self, raw_data: Any) -> None:
        """Take the fields of the hash, or refuse and remove the job.

        Raises:
            NoSuchJobError: the job was refused; it does not exist any more.
        """
        try:
            super().restore(raw_data)
            reason = self._objection()
        except Exception:  # noqa: BLE001 - a forged hash may make RQ's parsing raise anything
            reason = RefusedJob.MALFORMED
        if reason is not None:
            self._refuse(reason)

    def delete(
        self,
        pipeline: Pipeline | None = None,
        remove_from_queue: bool = True,  # noqa: FBT001, FBT002 - RQ's signature
        delete_dependents: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Remove the job; of a finished one, without looking for what it cannot have.

        RQ would ask for executions, dependents, groups and rate limits, each in a round trip. The
        worker itself removes the one execution that there is.
        """
        if pipeline is None or remove_from_queue:
            super().delete(pipeline, remove_from_queue, delete_dependents)
            return
        executions = ExecutionRegistry(self.id, connection=self.connection)
        pipeline.delete(self.key, str(Result.get_key(self.id)), executions.key)  # type: ignore[no-untyped-call]  # RQ's

    def _objection(self) -> RefusedJob | None:
        """Return what is undeclared in this job, the first that is found."""
        try:
            if self.func_name not in self.functions:
                return RefusedJob.FUNCTION
        except (DeserializationError, TypeError):
            return RefusedJob.MALFORMED
        callbacks = (
            self._success_callback_name,
            self._failure_callback_name,
            self._stopped_callback_name,
        )
        found = {
            RefusedJob.INSTANCE: self.instance is not None,
            RefusedJob.CALLBACK: any(callbacks),
            RefusedJob.WEBHOOK: bool(self.webhooks),
            RefusedJob.DEPENDENCY: bool(self._dependency_ids),
            RefusedJob.REPEAT: bool(self.repeats_left or self.repeat_intervals),
            RefusedJob.GROUP: self.group_id is not None,
            RefusedJob.RATE_LIMIT: self.rate_limit_key is not None,
        }
        return next((reason for reason, present in found.items() if present), None)

    def _refuse(self, reason: RefusedJob) -> None:
        self.connection.delete(self.key)
        self.metrics.jobs_refused.labels(reason).inc()
        _log.error("job.refused", job_id=self.id, reason=reason.value)
        raise NoSuchJobError(f"job {self.id} was refused")


def guard(functions: Iterable[JobFunction], metrics: WorkerMetrics) -> type[GuardedJob]:
    """Return the job class that knows these functions and no other."""
    table = {f"{function.__module__}.{function.__qualname__}": function for function in functions}
    bound = {"functions": MappingProxyType(table), "metrics": metrics}
    return type("DeclaredJob", (GuardedJob,), bound)
