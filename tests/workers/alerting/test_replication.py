"""What survives a failover: outcomes that a replica had, and a mark on the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from structlog.testing import capture_logs

from tests.sentinels import PROMPT, start_replica
from tests.servers import RedisServer, start_redis
from tests.workers.alerting.test_durability import calls
from workers.alerting.durability import LOOK_SECONDS, Durability

Pair = tuple[RedisServer, RedisServer]

SET = "return redis.call('SET', 'a', '1')"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield a primary and its replica."""
    primary = start_redis(tcp=True, config=PROMPT)
    replica = start_replica(primary)
    yield primary, replica
    replica.close()
    primary.close()


def durability(
    redis: Redis, *, ack: str = "replica", clock: Callable[[], float] = time.time
) -> Durability:
    """Return the durability of a server."""
    return Durability(redis, "synap", ack=ack, patience=2.0, clock=clock)


@pytest.mark.parametrize(("ack", "waits"), [("replica", 1), ("fsync", 0), ("memory", 0)])
def test_an_outcome_waits_for_a_replica(pair: Pair, ack: str, waits: int) -> None:
    """Under `replica` what a target was told is in the replica as well; else nobody asks it."""
    primary, replica = pair
    with primary.client() as redis, replica.client() as copy:
        found = durability(redis, ack=ack)
        found.suspect(0.0)
        before = calls(redis, "wait")
        found.run(SET, [])

        assert calls(redis, "wait") - before == waits
        assert not waits or copy.get("a") == b"1"


def test_without_a_replica_no_page_is_held_up(pair: Pair) -> None:
    """What cannot be waited for is said once a look, and the next page goes out at once."""
    primary, replica = pair
    replica.kill()
    with primary.client() as redis:
        found = durability(redis, clock=lambda: 0.0)
        with capture_logs() as lines:
            answers = [found.run(SET, []) for _ in range(3)]

    assert answers == [b"OK"] * 3
    assert [(line["event"], line["error"]) for line in lines] == [
        ("outcome.not_durable", "no replica")
    ]


def test_a_failover_may_have_forgotten_what_was_told(pair: Pair) -> None:
    """What happened before a replica took over may be unknown to it, whatever its own disk has."""
    primary, replica = pair
    began = time.time()
    now = began
    with primary.client() as redis:
        durability(redis, clock=lambda: now).suspect(began)
        assert redis.wait(1, 2000) == 1
    primary.kill()
    with replica.client() as redis:
        redis.replicaof("NO", "ONE")
        now = began + 30
        found = durability(redis, clock=lambda: now)

        assert found.suspect(began + 29) is True
        assert found.suspect(began + 31) is False

        now += LOOK_SECONDS + 60
        assert durability(redis, clock=lambda: now).suspect(began + 31) is False


def test_a_restart_is_no_failover(pair: Pair) -> None:
    """A primary that comes back from its own disk forgot nothing under `appendfsync always`."""
    primary, _ = pair
    began = time.time()
    with primary.client() as redis:
        durability(redis).suspect(began)

    primary.restart()

    with primary.client() as redis:
        assert durability(redis).suspect(began - 60) is False
