"""The client's own rate: common to all processes, below the plan's."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from tests.sandbox import FREE
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.rig import Rig, reach
from workers.synap.errors import BudgetError
from workers.synap.pace import Allowance, Pace, name_of


def test_the_budget_is_common_and_below_the_plan(rig: Rig) -> None:
    """Two clients of one key together stay below the plan's burst: Synap never has to refuse."""
    reach(rig.sandbox.instance, "active")
    rig.key = rig.sandbox.issue_key(plan=FREE)
    rig.per_minute = 60
    one, other = rig.client(), rig.client()
    soon = time.time() + 0.5

    for client in (one, other) * 5:
        client.active(INSTANCE)
    with pytest.raises(BudgetError):
        one.active(INSTANCE, deadline=soon)

    assert [call.status for call in rig.calls] == [200] * 10


def test_what_is_over_the_budget_waits(rig: Rig) -> None:
    """A call that has time waits for its turn."""
    pace = Pace(rig.redis, "synap", lambda: Allowance(60))

    waits = [pace.take("key") for _ in range(11)]

    assert waits[:10] == [0.0] * 10
    assert 0 < waits[10] <= 1
    assert Allowance(600).burst == 50
    assert Allowance(2).burst == 2


def test_a_wish_to_rest_holds_for_all(redis: Redis) -> None:
    """When Synap asks for a rest, nobody calls before it is over, and nothing is saved up."""
    one, other = (Pace(redis, "synap", lambda: Allowance(600)) for _ in range(2))

    one.rest("key", 30)

    assert 29 < other.take("key") <= 30
    assert other.take("another key") == 0


def test_without_redis_nobody_counts() -> None:
    """While Redis is away calls are made: Synap itself counts as well."""
    with Redis(unix_socket_path="/nowhere/at-all.sock") as away:
        assert Pace(away, "synap", Allowance).take("key") == 0


def test_the_name_gives_no_key_away() -> None:
    """What stands in Redis for a key is short and is not it."""
    name = name_of("synap_" + "abc" * 20)

    assert len(name) == 16
    assert "abc" not in name
