"""Bursts: what fills a window, what does not, and what follows when it is full."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from redis import Redis

from receiver.broker import Keys
from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import PREFIX, ROOM, TAKEN, events, page
from tests.workers.ledger.conftest import MARK
from workers.alerting.bursts import burst, bursts_lua
from workers.alerting.groups import groups_lua
from workers.ledger.transitions import Effect, Ledger

WINDOW = f"{ROOM}burst:x"


def ledger(redis: Redis) -> Ledger:
    """Return a ledger that knows bursts."""
    fragments = [MARK, groups_lua(), bursts_lua()]
    return Ledger(redis, Keys(PREFIX), dedup_window=60.0, fragments=fragments)


def count(redis: Redis, *seen: tuple[str, float], effects: Sequence[Effect] | None = None) -> int:
    """Count members at seconds after `NOW`, three within 60 s make a burst; return the marks."""
    follows = [Effect("mark", ("full",))] if effects is None else effects
    for member, at in seen:
        one = burst(PREFIX, "x", member=member, at=NOW + at, window=60, least=3, effects=follows)
        ledger(redis).apply([one])
    return int(redis.llen("marks"))


@pytest.mark.parametrize(
    ("seen", "marks"),
    [
        pytest.param([("a", 0), ("b", 1)], 0, id="too few"),
        pytest.param([("a", 0), ("b", 1), ("c", 60)], 1, id="within the window"),
        pytest.param([("a", 0), ("b", 1), ("c", 60.1)], 0, id="the first is out of it"),
        pytest.param([("a", 0), ("a", 1), ("a", 2), ("b", 3)], 0, id="a second run adds nothing"),
        pytest.param([("a", 0), ("b", 1), ("c", 2), ("d", 3)], 2, id="and it goes on"),
        pytest.param(
            [("a", 0), ("b", 0), ("c", 0.1), ("d", 0.2), ("e", 1.05), ("f", 1.2)],
            2,
            id="once a second",
        ),
        pytest.param([("a", 2), ("b", 1), ("c", 0)], 1, id="in any order"),
        pytest.param([("b", 50), ("c", 60), ("a", -1)], 0, id="too old when it came"),
        pytest.param([("b", 50), ("c", 60), ("a", 55)], 1, id="late, but within"),
        pytest.param(
            [("a", 0), ("b", 1), ("c", 2), ("d", 200), ("e", 201)], 1, id="over, and few again"
        ),
    ],
)
def test_what_fills_a_window(redis: Redis, seen: list[tuple[str, float]], marks: int) -> None:
    """Distinct events within the window count, by the time at which they were received."""
    assert count(redis, *seen) == marks


def test_a_storm_does_not_fill_memory(redis: Redis) -> None:
    """A window holds no more members than fill it, and is gone when it is quiet."""
    count(redis, *((f"m{n}", n / 100) for n in range(50)))

    assert redis.zcard(WINDOW) == 3
    assert 60 <= redis.ttl(WINDOW) <= 120


def test_a_burst_pages_and_its_parts_do_not(redis: Redis, build: Build, sink: Sink) -> None:
    """The alert of a burst comes to its groups with the event that makes it one."""
    sink.answer(202, TAKEN)
    home = build(page(sink))
    alert = make_alert("Burst", annotations={"summary": "many failed"})
    effects = home.groups.effects([alert], NOW)

    count(redis, ("a", 0), ("b", 1), effects=effects)
    home.tick()
    assert events(sink) == []

    count(redis, ("c", 2), effects=effects)
    home.tick()
    assert events(sink) == [("trigger", "many failed")]
