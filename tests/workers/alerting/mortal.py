"""A process that dies at a chosen step: before or after a write to Redis or a call to a target."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.client import Pipeline

from workers.outbound import Answer, Outbound


class KilledError(BaseException):
    """What nothing catches: from here on the process does nothing more."""


class Fate:
    """Counts steps and kills at one of them; `at` 0 is never.

    Odd numbers kill before a step, even ones right after it: its effect is there, its answer lost.
    """

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.passed = 0

    def step(self) -> None:
        """Pass one point."""
        self.passed += 1
        if self.passed == self.at:
            raise KilledError


class MortalRedis(Redis):
    """A client that may die around any command of its own, on another's connections."""

    fate: Fate

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command, unless it is the last thing this process never did."""
        self.fate.step()
        answer = super().execute_command(*args, **options)
        self.fate.step()
        return answer

    def pipeline(self, *args: Any, **options: Any) -> Pipeline:
        """Return a pipeline that may be the last thing this process did, or never did."""
        pipe = super().pipeline(*args, **options)
        execute = pipe.execute

        def stepped(*inner: Any, **more: Any) -> Any:
            self.fate.step()
            answers = execute(*inner, **more)
            self.fate.step()
            return answers

        pipe.execute = stepped  # type: ignore[method-assign]
        return pipe


class MortalOutbound(Outbound):
    """A way out that may end with the process."""

    fate: Fate

    def call(self, *args: Any, **options: Any) -> Answer:
        """Make a call, unless the process dies around it."""
        self.fate.step()
        answer = super().call(*args, **options)
        self.fate.step()
        return answer


def mortal_redis(redis: Redis, fate: Fate) -> MortalRedis:
    """Return a client that dies as its fate says."""
    mortal = MortalRedis(connection_pool=redis.connection_pool)
    mortal.fate = fate
    return mortal


def mortal_outbound(fate: Fate) -> MortalOutbound:
    """Return a way out that dies as its fate says."""
    outbound = MortalOutbound(connect=1.0, read=1.0)
    outbound.fate = fate
    return outbound
