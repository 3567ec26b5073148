"""A ledger over the suite's Redis, with an effect that tests can see."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.accept import KEYS
from workers.ledger.transitions import Ledger

MARK = """effects["mark"] = function(a) redis.call('RPUSH', 'marks', a[1]) end"""


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    """Return a ledger whose effect `mark` appends its argument to the list `marks`."""
    return Ledger(redis, KEYS, dedup_window=32 * 86_400.0, fragments=[MARK])
