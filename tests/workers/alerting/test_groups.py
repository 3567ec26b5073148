"""Groups and their timers, in a real Redis, under a clock that tests move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.workers.alerting.house import ROOM, House, config_of
from workers.alert import Alert
from workers.alerting.store import held

GROUPED = """
route:
  receiver: r
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
receivers: [{name: r}]
"""
AT_ONCE = GROUPED.replace("30s", "0s")
FLUSH = "workers.jobs.flush_groups"


def house(redis: Redis, text: str = GROUPED) -> House:
    """Return a house with this configuration."""
    return House(redis, config_of(text))


def due_at(home: House, gid: str) -> float | None:
    """Return the time of a group's next flush."""
    score = home.redis.zscore(f"{ROOM}due", gid)
    return None if score is None else float(score)


def kept(home: House) -> list[Alert]:
    """Return the alerts of the only group."""
    (gid,) = home.group_ids()
    return [held(value).alert for value in home.redis.hvals(f"{ROOM}alerts:{gid}")]


def test_one_group_for_each_route_and_group_labels(redis: Redis) -> None:
    """B14: an alert is in a group of every route it reaches; equal group labels share one."""
    home = house(
        redis,
        """
route:
  receiver: r
  routes:
    - {receiver: r, group_by: [alertname], continue: true}
    - {receiver: r, group_by: [alertname]}
receivers: [{name: r}]
""",
    )

    home.report(make_alert("A", host="1"), make_alert("A", host="2"), make_alert("B"))

    assert len(home.group_ids()) == 4


def test_a_new_group_waits(redis: Redis) -> None:
    """B16: the first flush of a new group comes after group_wait."""
    home = house(redis)

    home.report(make_alert())

    (gid,) = home.group_ids()
    assert due_at(home, gid) == NOW + 30
    assert home.jobs() == []
    assert home.source.enqueue_due(NOW + 29.9) == 0
    assert home.source.enqueue_due(NOW + 30) == 1
    assert home.jobs() == [(FLUSH, [gid])]


def test_an_alert_that_is_old_already_does_not_wait(redis: Redis) -> None:
    """B16: a group whose alert is older than group_wait is flushed at once, without a tick."""
    home = house(redis)

    home.report(make_alert(now=NOW - 31))

    assert home.jobs() == [(FLUSH, home.group_ids())]


def test_an_old_alert_hurries_a_group_that_still_waits(redis: Redis) -> None:
    """B16: an old alert that joins a group before its first flush has it flushed at once."""
    home = house(redis)
    home.report(make_alert(host="1"))

    home.report(make_alert(host="2", now=NOW - 31))

    assert home.jobs() == [(FLUSH, home.group_ids())]


def test_no_wait_means_now_and_one_job(redis: Redis) -> None:
    """With group_wait 0 the flush's job is pushed with the alert, once until it is flushed."""
    home = house(redis, AT_ONCE)

    for host in "123":
        home.report(make_alert(host=host))

    assert home.jobs() == [(FLUSH, home.group_ids())]


def test_a_group_that_another_process_ended_is_found_by_the_tick(redis: Redis) -> None:
    """A process that believes it has pushed the flush already leaves it to the tick."""
    home = house(redis, AT_ONCE)
    home.report(make_alert())
    redis.flushdb()

    home.report(make_alert())

    assert home.jobs() == []
    assert home.source.enqueue_due(NOW) == 1


def test_the_next_timer_is_armed_before_the_flush_and_does_not_drift(redis: Redis) -> None:
    """B17: flushes come every group_interval from the planned time, however late each one is."""
    home = house(redis)
    home.report(make_alert())
    (gid,) = home.group_ids()

    home.tick(30.7)

    assert due_at(home, gid) == NOW + 30 + 300


def test_flushes_that_were_missed_are_made_once(redis: Redis) -> None:
    """B17: after a long pause there is one flush, and the next an interval later."""
    home = house(redis)
    home.report(make_alert())
    (gid,) = home.group_ids()

    home.tick(3000)

    assert due_at(home, gid) == NOW + 3000 + 300


def test_any_number_of_ticks_hand_on_a_flush_once(redis: Redis) -> None:
    """A due group is taken by moving it, so a second tick finds nothing."""
    home = house(redis)
    home.report(make_alert())

    moved = [home.source.enqueue_due(NOW + 30), home.source.enqueue_due(NOW + 30)]

    assert moved == [1, 0]
    assert len(home.jobs()) == 1


def test_a_lost_job_comes_due_again(redis: Redis) -> None:
    """A flush whose job vanished is handed on again after 30 s."""
    home = house(redis)
    home.report(make_alert())
    home.source.enqueue_due(NOW + 30)
    lost = home.jobs()

    home.source.enqueue_due(NOW + 61)

    assert home.jobs() == lost


def test_a_group_in_the_index_alone_is_dropped(redis: Redis) -> None:
    """An index entry without a group is removed, not handed on for ever."""
    home = house(redis)
    redis.zadd(f"{ROOM}due", {"ghost": 1.0})

    assert home.tick() == 0
    assert home.group_ids() == []


def test_what_is_over_and_was_never_known_makes_no_group(redis: Redis) -> None:
    """An end of something that never fired here leaves nothing behind."""
    home = house(redis)

    home.report(make_alert(ends_at=NOW))

    assert home.group_ids() == []
    assert redis.keys("*") == [f"{ROOM}ends".encode()]


@pytest.mark.parametrize("told_before", [True, False], ids=["told", "never-told"])
def test_an_older_report_opens_nothing_again(redis: Redis, *, told_before: bool) -> None:
    """An event that comes late, after the end of what it reports, wakes nobody."""
    home = house(redis)
    if told_before:
        home.report(make_alert())
        home.tick(30)
    home.now = NOW + 40
    home.report(make_alert(ends_at=NOW + 40, now=NOW + 40))
    home.pass_time(600, step=100)

    home.report(make_alert(now=NOW + 35))
    late = home.group_ids()
    home.report(make_alert(now=NOW + 40))

    assert late == []
    assert len(home.group_ids()) == 1


def test_what_a_process_remembers_of_groups_is_bounded(redis: Redis) -> None:
    """Any number of groups leaves a bounded memory, and the same ids."""
    home = house(redis, AT_ONCE)
    first = home.groups.effects([make_alert("0")], NOW)

    for number in range(20_100):
        home.groups.effects([make_alert(str(number))], NOW)

    assert home.groups.effects([make_alert("0")], NOW)[0].args[1] == first[0].args[1]
    assert home.groups._tree is not None
    assert len(home.groups._tree.known) <= 20_000
    assert len(home.groups._pushed) <= 20_000


def test_over_the_cap_new_groups_are_refused_and_counted(redis: Redis) -> None:
    """B21: with a cap on groups, known ones go on and new ones are counted."""
    home = house(redis, "global: {max_groups: 1}" + GROUPED)

    home.report(make_alert("A"), make_alert("B"), make_alert("A", host="2"))

    assert len(home.group_ids()) == 1
    assert len(kept(home)) == 2
    assert redis.hgetall(f"{ROOM}counters") == {b"groups_refused": b"1"}


BASE = make_alert(now=NOW - 100)


def report(starts: float, ends: float | None, updated: float, *, timeout: bool = False) -> Alert:
    """Return a report of one alert; all times are relative to now."""
    return replace(
        BASE,
        annotations={"at": str(updated)},
        starts_at=NOW + starts,
        ends_at=None if ends is None else NOW + ends,
        updated_at=NOW + updated,
        timeout=timeout,
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            report(-100, 50, -100), report(-10, 60, 0), report(-100, 60, 0), id="earlier-start"
        ),
        pytest.param(
            report(-100, 50, -100), report(-10, 20, 0), report(-100, 50, 0), id="stated-end-rules"
        ),
        pytest.param(
            report(-100, 50, -100, timeout=True),
            report(-10, 20, 0),
            report(-100, 20, 0),
            id="assumed-end-does-not-rule",
        ),
        pytest.param(
            report(-100, 50, -100), report(-10, -5, 0), report(-100, -5, 0), id="resolves"
        ),
        pytest.param(
            report(-100, -5, -5), report(-50, -20, 0), report(-100, -5, 0), id="later-end-wins"
        ),
        pytest.param(
            report(-100, 50, 0), report(-120, 40, -100), report(-120, 50, 0), id="late-report"
        ),
        pytest.param(
            report(-100, 50, -100), report(-100, 50, 0), report(-100, 50, 0), id="same-range"
        ),
        pytest.param(
            report(-100, -50, -50), report(-10, 60, 0), report(-10, 60, 0), id="fires-again"
        ),
        pytest.param(
            report(-10, 60, 0), report(-100, -50, -50), report(-10, 60, 0), id="late-and-apart"
        ),
        pytest.param(
            report(-100, None, -100), report(-10, -5, 0), report(-100, -5, 0), id="open-resolves"
        ),
        pytest.param(
            report(-100, None, -100), report(-10, 60, 0), report(-100, 60, 0), id="open-gets-end"
        ),
        pytest.param(
            report(-100, None, -100),
            report(-10, 60, 0, timeout=True),
            report(-100, None, 0),
            id="open-rules-over-assumed",
        ),
        pytest.param(
            report(-100, 60, -100, timeout=True),
            report(-10, 90, 0, timeout=True),
            report(-100, 90, 0, timeout=True),
            id="assumed-end-moves",
        ),
    ],
)
def test_reports_of_one_alert_are_merged(
    redis: Redis, old: Alert, new: Alert, expected: Alert
) -> None:
    """B43: overlapping reports are one alert; apart, the newer replaces the older."""
    home = house(redis)
    first = report(-200, None, -200)
    redis.hset(f"{ROOM}alerts:{_gid(home)}", first.fingerprint, _stored(old))
    redis.hset(f"{ROOM}group:{_gid(home)}", "slot", "{}#0")
    redis.zadd(f"{ROOM}due", {_gid(home): NOW + 30})

    home.report(new)

    assert kept(home) == [expected]


def test_empty_label_values_are_absent(redis: Redis) -> None:
    """B43: a label with an empty value is the same as none."""
    home = house(redis)

    home.report(make_alert(host=""), make_alert())

    assert len(kept(home)) == 1


def _gid(home: House) -> str:
    (route,) = home.config.route.match(BASE.labels)
    return home.groups.group(route, BASE.labels).id


def _stored(alert: Alert) -> bytes:
    ends = "" if alert.ends_at is None else repr(alert.ends_at)
    head = f"{alert.starts_at!r} {alert.updated_at!r} {ends} {int(alert.timeout)}\n"
    return head.encode() + alert.to_wire()
