"""Fixtures of alert routing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from tests.sink import Sink
from tests.workers.alerting.house import TAKEN, House, config_of, page

Build = Callable[..., House]


@pytest.fixture
def build(redis: Redis) -> Iterator[Build]:
    """Yield a function that builds a house from an `alerting` section on the suite's Redis."""
    houses: list[House] = []

    def one(text: str, **options: Any) -> House:
        houses.append(House(redis, config_of(text), **options))
        return houses[-1]

    yield one
    for house in houses:
        house.close()


@pytest.fixture
def home(build: Build, sink: Sink) -> House:
    """Return a house that pages the sink, which takes everything."""
    sink.answer(202, TAKEN)
    return build(page(sink))
