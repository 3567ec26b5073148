"""What a configuration would have told, from what was recorded."""

from __future__ import annotations

import math

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import PREFIX, config_of, events, page
from workers.alerting.backtest import Change, Life, Moved, changes, lives, moved, play
from workers.alerting.config import AlertingConfig
from workers.alerting.history import AlertHistory
from workers.alerting.ports import Decision, Record, Seen

HOUR = 3600.0
A = {"alertname": "A", "severity": "high"}
B = {"alertname": "B", "severity": "low"}


def config(extra: str = "", *, receiver: str = "page", options: str = "") -> AlertingConfig:
    """Return a configuration with two receivers that are written to a log."""
    return config_of(
        f"route: {{receiver: {receiver}, group_by: [alertname], group_wait: 10s,"
        f" group_interval: 1m, repeat_interval: 1h{options}}}\n"
        "receivers:\n- name: page\n  log_configs: [{}]\n- name: team\n  log_configs: [{}]\n" + extra
    )


def life(starts: float, ends: float = math.inf, **labels: str) -> Life:
    """Return a time, in seconds after `NOW`, during which an alert fired."""
    return Life(labels or A, NOW + starts, NOW + ends)


def played(which: AlertingConfig, *known: Life, hours: float = 24.0) -> list[tuple[float, bool]]:
    """Return when something would be told, and whether it opens a trouble."""
    return [(told.at - NOW, told.opens) for told in play(which, known, until=NOW + hours * HOUR)]


@pytest.mark.parametrize(
    ("known", "hours", "told"),
    [
        pytest.param([], 24, [], id="nothing"),
        pytest.param([life(0)], 1, [(10, True)], id="after group_wait"),
        pytest.param([life(0, 5)], 1, [], id="over before its first flush"),
        pytest.param([life(0, 100)], 1, [(10, True), (130, False)], id="its end, at a flush"),
        pytest.param(
            [life(0)],
            3,
            [(10, True), (3670, False), (7330, False)],
            id="repeats, at the flush after the interval",
        ),
        pytest.param(
            [life(0, 100), life(1000, 1100)],
            1,
            [(10, True), (130, False), (1010, True), (1130, False)],
            id="twice",
        ),
        pytest.param(
            [life(0), Life({**A, "n": "2"}, NOW + 30, math.inf)],
            0.5,
            [(10, True), (70, False)],
            id="another of its group",
        ),
        pytest.param(
            [life(0), life(0, **B)], 0.5, [(10, True), (10, True)], id="two groups at once"
        ),
        pytest.param([life(25 * HOUR)], 24, [], id="after the end of time"),
    ],
)
def test_groups_and_timers(known: list[Life], hours: float, told: list[tuple[float, bool]]) -> None:
    """Played are groups, waits, intervals and repeats as the pipeline has them."""
    assert played(config(), *known, hours=hours) == told


def test_inhibition() -> None:
    """What is inhibited is not told, until what inhibits it is over."""
    rule = "inhibit_rules: [{source_matchers: [alertname=A], target_matchers: [alertname=B]}]\n"

    told = play(config(rule), [life(0, 600), life(30, **B)], until=NOW + HOUR / 2)

    assert [(one.at - NOW, one.group_key) for one in told] == [
        (10, '{}:{alertname="A"}'),
        (610, '{}:{alertname="A"}'),
        (640, '{}:{alertname="B"}'),
    ]


def test_hours() -> None:
    """What is muted by the clock is told when the clock allows it; `NOW` is eight o'clock."""
    hours = (
        "time_intervals:\n- name: day\n"
        "  time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}]}]\n"
    )
    routes = ", routes: [{active_time_intervals: [day]}]"

    assert played(config(hours, options=routes), life(0), hours=1.5)[0] == (3610, True)


def record(at: float, *, over: bool, labels: dict[str, str] = A) -> Record:
    """Return a decision about one alert at seconds after `NOW`."""
    name = labels["alertname"]
    return Record(
        at=NOW + at,
        gid="g",
        group_key="",
        route="",
        receiver="page",
        integration="log/0",
        decision=Decision.TOLD,
        alerts=(Seen(name, labels, NOW + at - 5, resolved=over),),
    )


def test_lives_from_decisions() -> None:
    """An alert fired from its start to the decision that saw it over, or until now."""
    records = [
        record(10, over=False),
        record(20, over=False),
        record(30, over=True),
        record(40, over=True),
        record(50, over=False, labels=B),
        record(60, over=False),
    ]

    assert lives(records, until=NOW + 100) == [
        Life(A, NOW + 5, NOW + 30),
        Life(B, NOW + 45, math.inf),
        Life(A, NOW + 55, math.inf),
    ]
    assert lives(records, until=NOW + 50)[-1] == Life(B, NOW + 45, math.inf)


def test_more_less_and_elsewhere() -> None:
    """Two configurations are compared by receiver, and by who hears of which alert."""
    before = config()
    after = config(
        receiver="team", options=", routes: [{receiver: page, matchers: [severity=low]}]"
    )
    known = [life(0, 100), life(0, 100, **B)]
    told = [play(one, known, until=NOW + HOUR) for one in (before, after)]

    assert changes(*told) == [Change("page", 4, 2, 2, 1), Change("team", 0, 2, 0, 1)]
    assert moved(before, after, known) == [Moved("A", 1, ("page",), ("team",))]


def test_played_is_what_happened(build: Build, sink: Sink) -> None:
    """The same configuration, played, tells as often as the real one told."""
    text = page(sink)
    home = build(text)
    sink.answer(202, b"{}")
    home.report(make_alert("A"))
    home.pass_time(700, step=10)
    home.report(make_alert("A", ends_at=home.now), make_alert("B", now=home.now))
    home.pass_time(400, step=10)

    records = reversed(list(AlertHistory(home.redis, PREFIX).newest()))
    told = play(config_of(text), lives(records, until=home.now), until=home.now)

    assert len(told) == len(events(sink))
    assert sum(one.opens for one in told) == 2


def test_a_week_of_a_thousand_groups_takes_seconds() -> None:
    """A long time with many groups is played flush by flush only where something changes."""
    known = [life(n, 7 * 24 * HOUR, alertname=f"A{n}") for n in range(1000)]

    told = play(config(options=""), known, until=NOW + 24 * HOUR)

    assert len(told) == 1000 * 24
