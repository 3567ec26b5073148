"""Job functions that tell what ran, and ways to put jobs of any form on a queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from redis import Redis

from receiver.broker import EVENTS, JobFields, enqueue, job_fields

RAN: Final[list[Any]] = []
"""What ran in this process, in order."""

NAME: Final = __name__


def note(value: Any) -> None:
    """Remember that it ran."""
    RAN.append(value)


def explode(value: str) -> None:
    """Raise an error whose text holds the argument."""
    raise ValueError(value)


def linger(path: str, seconds: float) -> None:
    """Write `began` to a file, take some time, write `ended`."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("began ")
        file.flush()
        time.sleep(seconds)
        file.write("ended ")


def forbidden(*_: Any) -> None:
    """Stand for anything undeclared: it must never run."""
    RAN.append("forbidden")


def push(
    redis: Redis,
    function: str = f"{NAME}.note",
    args: list[Any] | None = None,
    *,
    queue: str = EVENTS,
    job_id: str = "job-1",
    extra: Mapping[str, Any] | None = None,
) -> JobFields:
    """Put a job on a queue, with any extra field in its hash."""
    job = job_fields(function, args or [1], queue=queue, job_id=job_id)
    enqueue(redis, [job])
    if extra:
        redis.hset(job.key, mapping=dict(extra))
    return job
