"""The command over the suite's Redis, and a desk that puts events into any state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.sink import Sink
from tests.workers.alerting.house import TAKEN, House, config_of, page
from tests.workers.cli.command import Command, Desk


@pytest.fixture
def command(redis_url: str) -> Command:
    """Return the command, run by dana."""
    return Command(redis_url)


@pytest.fixture
def desk(redis: Redis, redis_url: str) -> Desk:
    """Return a desk over the suite's Redis."""
    return Desk(redis, redis_url)


@pytest.fixture
def home(redis: Redis, sink: Sink) -> Iterator[House]:
    """Yield alerting that pages the sink, which takes everything."""
    sink.answer(202, TAKEN)
    house = House(redis, config_of(page(sink)))
    yield house
    house.outbound.close()
