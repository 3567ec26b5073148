"""The history of alerts: what it keeps, for how long, and how little of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.alerting.house import PREFIX, ROOM
from workers.alerting.history import KEPT_SECONDS, MAX_ALERTS, QUIET, AlertHistory
from workers.alerting.ports import Decision, Record, Seen

LABELS = {"alertname": "A", "severity": "high"}


def record(
    decision: Decision = Decision.TOLD, *, at: float = NOW, gid: str = "g1", reason: str = ""
) -> Record:
    """Return a decision about one alert."""
    return Record(
        at=at,
        gid=gid,
        group_key='{}:{alertname="A"}',
        route="{}#0",
        receiver="page",
        integration="pagerduty/0",
        decision=decision,
        why="first notification",
        reasons=("said",),
        alerts=(Seen("f1", LABELS, NOW - 9, resolved=False, reason=reason),),
    )


@pytest.fixture
def history(redis: Redis) -> AlertHistory:
    """Return the history of the suite's Redis."""
    return AlertHistory(redis, PREFIX)


def test_what_is_kept_comes_back(history: AlertHistory) -> None:
    """A decision is read as it was written, with the labels of its alerts, newest first."""
    first, second = record(reason="silenced by s1"), record(at=NOW + 60, gid="g2")

    history.record([first])
    history.record([second])

    assert list(history.newest()) == [second, first]
    assert list(history.newest(since=NOW + 1)) == [second]
    assert history.alerts() == {"f1": LABELS}
    assert history.named("f") == ["f1"]
    assert history.named("x") == []


@pytest.mark.parametrize("decision", sorted(QUIET))
def test_the_same_again_is_not_news(history: AlertHistory, decision: Decision) -> None:
    """A flush that decides as the one before it is not recorded again; another outcome is."""
    history.record([record(decision)])
    history.record([record(decision, at=NOW + 60)])
    history.record([record(decision, at=NOW + 120, reason="silenced by s1")])
    history.record([record(decision, at=NOW + 180, gid="g2")])

    assert [found.at - NOW for found in history.newest()] == [180, 120, 0]


@pytest.mark.parametrize("decision", sorted(set(Decision) - QUIET))
def test_what_was_done_is_always_news(history: AlertHistory, decision: Decision) -> None:
    """Whatever was told, tried or handed on is recorded each time."""
    for later in range(3):
        history.record([record(decision, at=NOW + later)])

    assert len(list(history.newest())) == 3


def test_nothing_new_after_news_is_recorded_once_more(history: AlertHistory) -> None:
    """After something was told, that nothing changed since is news once."""
    decisions = [Decision.UNCHANGED, Decision.TOLD, Decision.UNCHANGED, Decision.UNCHANGED]
    for later, decision in enumerate(decisions):
        history.record([record(decision, at=NOW + later)])

    assert [found.decision for found in history.newest()] == decisions[2::-1]


def test_fourteen_days(redis: Redis, history: AlertHistory) -> None:
    """What is older than fourteen days goes, its labels too."""
    history.record([record(at=NOW - KEPT_SECONDS - 60)])
    other = replace(record(), alerts=(Seen("f2", LABELS, NOW, resolved=False),))

    for _ in range(200):
        history.record([other])

    kept = list(history.newest())
    assert all(found.at >= NOW - KEPT_SECONDS - 60 for found in kept)
    assert list(history.newest(since=NOW - KEPT_SECONDS)) == [other] * 200
    assert list(history.alerts()) == ["f2"]
    assert redis.ttl(f"{ROOM}decided:g1") > 0


def test_so_many_and_no_more(redis: Redis) -> None:
    """Decisions and label sets are capped, each; the oldest go."""
    history = AlertHistory(redis, PREFIX, max_records=20)
    for n in range(50):
        seen = Seen(f"f{n:02}", LABELS, NOW, resolved=False)
        history.record([replace(record(at=NOW + n), alerts=(seen,))])

    assert redis.xlen(f"{ROOM}history") == 20
    assert sorted(history.alerts()) == [f"f{n:02}" for n in range(30, 50)]
    assert redis.hlen(f"{ROOM}labels") == 20


def test_a_record_names_so_many_alerts(history: AlertHistory) -> None:
    """A decision about a storm names its first alerts; the labels of all are known."""
    many = tuple(
        Seen(f"f{n:03}", {"n": str(n)}, NOW, resolved=False) for n in range(MAX_ALERTS + 5)
    )

    history.record([replace(record(), alerts=many)])

    [found] = history.newest()
    assert found.alerts == many[:MAX_ALERTS]
    assert len(history.alerts()) == MAX_ALERTS + 5


def test_clocks_that_disagree_lose_nothing(history: AlertHistory) -> None:
    """A decision dated before the last one that was written is kept after it."""
    history.record([record(at=NOW)])
    history.record([record(at=NOW - 30)])
    history.record([record(at=NOW + 30), record(at=NOW + 30)])

    assert [found.at - NOW for found in history.newest()] == [30, 30, -30, 0]


def test_a_history_that_cannot_be_written_stops_nothing(redis: Redis) -> None:
    """A failing write is logged, and the flush goes on."""
    redis.set(f"{ROOM}history", "no stream")

    AlertHistory(redis, PREFIX).record([record()])
    AlertHistory(redis, PREFIX).record([])

    assert redis.get(f"{ROOM}history") == b"no stream"
