"""The workers' part of the environment; durations are seconds.

`SYNAP_LEASE`, `SYNAP_SWEEP_INTERVAL`, `SYNAP_SWEEP_GRACE` and `SYNAP_TICK_LEASE` decide how soon a
lost worker's events and notifications are taken up again. The defaults recover within a minute;
shorter ones are for tests and for people who accept that a slow worker is overtaken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Self

from pydantic import Field, PlainValidator, SecretStr

from receiver.broker import QUEUES
from receiver.settings import CommonSettings, Problem
from receiver.values import Port, RedisUrl, Seconds, Share

MAX_PROCESSES: Final = 64

SYNAP_API: Final = "https://api.synap.maximem.ai"


class Processes(dict[str, int]):
    """How many processes serve each queue; its text is what `SYNAP_WORKERS` takes."""

    def __str__(self) -> str:
        return ",".join(f"{queue}={count}" for queue, count in self.items())


def processes(value: Any) -> Processes:
    """Return how many processes serve each queue, from `events=2,notifications=1`.

    Queues that are not named get none; so does `events=0`.

    Raises:
        ValueError: an unknown queue, one named twice, or no number from 0 to `MAX_PROCESSES`.
    """
    wanted = Processes(dict.fromkeys(QUEUES, 0))
    named: set[str] = set()
    for part in filter(None, (part.strip() for part in str(value).split(","))):
        queue, equals, count = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r} is no queue=number; write events=1,notifications=2")
        if queue not in wanted:
            raise ValueError(f"{queue!r} is no queue; there are {', '.join(QUEUES)}")
        if queue in named:
            raise ValueError(f"{queue!r} is named twice; keep one of them")
        if not count.isascii() or not count.isdigit() or int(count) > MAX_PROCESSES:
            raise ValueError(f"{part!r}: write a number from 0 to {MAX_PROCESSES}")
        named.add(queue)
        wanted[queue] = int(count)
    return wanted


def one_each() -> Processes:
    """Return the default: one process for each queue."""
    return Processes(dict.fromkeys(QUEUES, 1))


class WorkerSettings(CommonSettings):
    """What `python -m workers` and the command line need; durations are seconds."""

    host: str = Field("0.0.0.0", validation_alias="SYNAP_HOST")  # noqa: S104  # runs in a pod
    workers_admin_port: Port = Field(9091, validation_alias="SYNAP_WORKERS_ADMIN_PORT")
    workers: Annotated[Processes, PlainValidator(processes)] = Field(
        default_factory=one_each, validation_alias="SYNAP_WORKERS"
    )
    config: str | None = Field(None, validation_alias="SYNAP_CONFIG")
    tick_redis_url: RedisUrl | None = Field(None, validation_alias="SYNAP_TICK_REDIS_URL")

    pagerduty_routing_key: SecretStr | None = Field(None, validation_alias="PAGERDUTY_ROUTING_KEY")
    slack_webhook_url: SecretStr | None = Field(None, validation_alias="SLACK_WEBHOOK_URL")
    api_url: str = Field(SYNAP_API, validation_alias="SYNAP_API_URL")
    api_key: SecretStr | None = Field(None, validation_alias="SYNAP_API_KEY")

    handler_timeout: Seconds = Field(20.0, gt=0, le=150, validation_alias="SYNAP_HANDLER_TIMEOUT")
    lease: Seconds = Field(30.0, gt=0, le=600, validation_alias="SYNAP_LEASE")
    max_attempts: int = Field(5, ge=1, le=100, validation_alias="SYNAP_MAX_ATTEMPTS")
    retry_base: Seconds = Field(10.0, gt=0, le=3600, validation_alias="SYNAP_RETRY_BASE")
    retry_cap: Seconds = Field(600.0, gt=0, le=86400, validation_alias="SYNAP_RETRY_CAP")
    sweep_interval: Seconds = Field(10.0, gt=0, le=300, validation_alias="SYNAP_SWEEP_INTERVAL")
    sweep_grace: Seconds = Field(30.0, ge=0, le=3600, validation_alias="SYNAP_SWEEP_GRACE")
    tick_lease: Seconds = Field(5.0, gt=0, le=60, validation_alias="SYNAP_TICK_LEASE")
    dead_memory_share: Share = Field(0.25, gt=0, le=1, validation_alias="SYNAP_DEAD_MEMORY_SHARE")
    grace_period: Seconds = Field(30.0, gt=0, le=3600, validation_alias="SYNAP_GRACE_PERIOD")

    def of_the_tick(self) -> Self:
        """Return these settings with the Redis user of the tick, if it has one of its own."""
        return self.model_copy(update={"redis_url": self.tick_redis_url or self.redis_url})

    def laws(self) -> Iterator[Problem]:
        """Yield what is wrong between values that are each right."""
        yield from super().laws()
        if self.lease <= self.handler_timeout:
            yield Problem(
                ("SYNAP_LEASE", "SYNAP_HANDLER_TIMEOUT"),
                "SYNAP_LEASE is not longer than SYNAP_HANDLER_TIMEOUT: an event would go to "
                f"a second worker while the first has it; set more than {self.handler_timeout:g}s",
            )
        if self.grace_period <= self.handler_timeout:
            yield Problem(
                ("SYNAP_GRACE_PERIOD", "SYNAP_HANDLER_TIMEOUT"),
                "SYNAP_GRACE_PERIOD is not longer than SYNAP_HANDLER_TIMEOUT: a worker would be "
                f"killed within its handler; set more than {self.handler_timeout:g}s",
            )
        if not self.api_url.startswith(("https://", "http://")):
            yield Problem(
                ("SYNAP_API_URL",),
                f"SYNAP_API_URL is no URL of an API; write {SYNAP_API}, which is the default",
            )
        if self.retry_cap < self.retry_base:
            yield Problem(
                ("SYNAP_RETRY_CAP", "SYNAP_RETRY_BASE"),
                f"SYNAP_RETRY_CAP is below SYNAP_RETRY_BASE; set at least {self.retry_base:g}s",
            )
