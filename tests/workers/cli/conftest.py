"""The command over the suite's Redis, and a desk that puts events into any state."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.workers.cli.command import Command, Desk


@pytest.fixture
def command(redis_url: str) -> Command:
    """Return the command, run by dana."""
    return Command(redis_url)


@pytest.fixture
def desk(redis: Redis, redis_url: str) -> Desk:
    """Return a desk over the suite's Redis."""
    return Desk(redis, redis_url)
