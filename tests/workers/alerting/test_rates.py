"""Targets that take only so many calls: who waits, who is folded, and how it all ends."""

from __future__ import annotations

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import (
    KEY,
    ROOM,
    TAKEN,
    House,
    bodies,
    config_of,
    events,
    open_incidents,
    page,
)
from workers.alerting.buckets import ANY, RATES, Rate, parse_rate, rate_of
from workers.section import DocumentError


@pytest.mark.parametrize(
    ("text", "burst", "expected"),
    [
        pytest.param("60/m", 0, Rate(1.0, 10), id="minute"),
        pytest.param("1/s", 5, Rate(1.0, 5), id="second"),
        pytest.param("720 / h", 0, Rate(0.2, 2), id="hour"),
        pytest.param("0/s", 0, None, id="none-at-all"),
        pytest.param("1/d", 0, None, id="unknown-unit"),
        pytest.param("fast", 0, None, id="words"),
    ],
)
def test_rates_as_they_are_written(text: str, burst: int, expected: Rate | None) -> None:
    """A rate is a number of calls per second, minute or hour."""
    assert parse_rate(text, burst) == expected


def test_every_type_has_a_rate() -> None:
    """A target has its own limit, else its type's, else that of any."""
    assert rate_of("pagerduty") == RATES["pagerduty"]
    assert rate_of("smoke-signals") == ANY
    assert rate_of("pagerduty", Rate(9.0, 9)) == Rate(9.0, 9)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param("rate_limit: often", 'not a valid rate: "often"', id="words"),
        pytest.param("rate_burst: 3", "rate_burst needs a rate_limit", id="burst-alone"),
    ],
)
def test_what_a_limit_may_not_say(field: str, expected: str) -> None:
    """A limit that is none is refused with its line."""
    with pytest.raises(DocumentError, match=expected):
        config_of(
            "route: {receiver: r}\nreceivers:\n- name: r\n"
            f"  webhook_configs: [{{url: 'http://h/', {field}}}]\n"
        )


LIMITED = ", rate_limit: 1/s, rate_burst: 3"


@pytest.fixture
def narrow(build: Build, sink: Sink) -> House:
    """Return a house whose pager takes a call a second, and three at once."""
    sink.answer(202, TAKEN)
    return build(page(sink, options=LIMITED))


def test_a_burst_is_told_at_once_and_the_rest_in_turn(narrow: House, sink: Sink) -> None:
    """Up to the burst calls go out at once; after it one takes its turn each second."""
    narrow.report(*(make_alert(f"A{number}") for number in range(8)))

    narrow.work()
    at_once = len(sink.seen)
    narrow.pass_time(2)
    later = len(sink.seen)
    narrow.pass_time(4)

    assert (at_once, later) == (3, 5)
    assert len(open_incidents(sink.seen)) == 8


def test_two_workers_share_one_bucket(narrow: House, sink: Sink) -> None:
    """The bucket is the target's: more workers make no more calls."""
    for number in range(8):
        narrow.report(make_alert(f"A{number}"))
        narrow.dispatcher = narrow.worker()
        narrow.work()

    assert len(sink.seen) == 3


def test_two_receivers_of_one_account_share_its_bucket(build: Build, sink: Sink) -> None:
    """What counts is the credential, not who uses it."""
    sink.answer(202, TAKEN)
    one = f'{{routing_key: {KEY}, url: "{sink.url}/pd"{LIMITED}}}'
    home = build(f"""
route:
  receiver: a
  group_by: [alertname]
  group_wait: 0s
  routes: [{{receiver: a, continue: true}}, {{receiver: b}}]
receivers:
  - {{name: a, pagerduty_configs: [{one}]}}
  - {{name: b, pagerduty_configs: [{one}]}}
""")
    home.report(make_alert("A"), make_alert("B"))

    home.work()

    assert len(sink.seen) == 3


def summaries(sink: Sink) -> list[str]:
    """Return the headline of each message about a summary."""
    return [
        event["payload"]["summary"]
        for event in bodies(sink.seen)
        if event["event_action"] == "trigger" and "SynapHooksSummary" in str(event)
    ]


SLOW = ", rate_limit: 10/m, rate_burst: 2"


def test_above_the_rate_new_trouble_is_told_in_a_summary(build: Build, sink: Sink) -> None:
    """What would wait more than a minute is folded: one incident stands for all of it."""
    sink.answer(202, TAKEN)
    home = build(page(sink, options=SLOW))
    home.report(*(make_alert(f"A{number}") for number in range(40)))

    home.pass_time(110, step=2)

    assert len(sink.seen) == 13
    assert summaries(sink) == ["More alert groups than pagerduty takes calls for (28 alerts)"]
    assert home.redis.zcard(f"{ROOM}deliveries") == 0


def test_a_summary_closes_when_all_that_it_stands_for_is_over(build: Build, sink: Sink) -> None:
    """What was folded needs no call of its own to end; the summary ends with the last of it."""
    sink.answer(202, TAKEN)
    home = build(page(sink, options=SLOW))
    home.report(*(make_alert(f"A{number}") for number in range(40)))
    home.pass_time(110, step=2)
    opened = len(open_incidents(sink.seen))
    over = home.now
    home.report(*(make_alert(f"A{n}", ends_at=over, now=over) for n in range(40)))

    home.pass_time(400, step=2)

    assert opened == 13
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []
    assert len(sink.seen) <= 2 * opened + 2


def test_what_was_folded_may_be_told_by_itself_later(build: Build, sink: Sink) -> None:
    """When the rush is over, news of a folded group opens its own incident."""
    sink.answer(202, TAKEN)
    home = build(page(sink, options=", rate_limit: 2/m, rate_burst: 1"))
    home.report(*(make_alert(f"A{number}") for number in range(6)))
    home.pass_time(180, step=5)
    told = summaries(sink)
    home.report(make_alert("A5", host="new", now=home.now))
    home.pass_time(300, step=5)
    last = home.now
    for number in range(6):
        home.report(make_alert(f"A{number}", ends_at=last, now=last))
    home.report(make_alert("A5", host="new", ends_at=last, now=last))

    home.pass_time(600, step=5)

    assert len(told) == 1
    assert any("A document failed (2 alerts)" in summary for _, summary in events(sink))
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


def test_an_end_waits_for_its_turn_however_long(build: Build, sink: Sink) -> None:
    """The end of what is open is never folded and never given up: its time begins with its turn."""
    sink.answer(202, TAKEN)
    home = build(
        "global: {delivery_deadline: 20s}" + page(sink, options=", rate_limit: 2/m, rate_burst: 3")
    )
    home.report(*(make_alert(f"A{number}") for number in range(3)))
    home.work()
    over = NOW + 1
    home.report(*(make_alert(f"A{n}", ends_at=over, now=over) for n in range(3)))

    home.pass_time(240, step=1)

    assert open_incidents(sink.seen) == set()
    assert {row["outcome"] for row in home.rows()} == {"sent"}


def test_buckets_hold_no_credential(narrow: House) -> None:
    """A bucket is known by a digest."""
    narrow.report(make_alert())
    narrow.work()

    names = b"".join(narrow.redis.keys(f"{ROOM}bucket:*"))
    assert names
    assert KEY.encode() not in names


def test_what_may_have_arrived_is_never_folded(build: Build, sink: Sink) -> None:
    """D10: trouble that a target may hold open waits for its turn, so that it can be ended."""
    sink.answer(hang=3)
    home = build(page(sink, options=", rate_limit: 1/m, rate_burst: 2"))
    home.report(make_alert("A"))
    home.work()
    sink.answer(202, TAKEN)
    home.report(*(make_alert(f"B{number}") for number in range(4)))
    home.pass_time(400, step=5)
    over = home.now
    home.report(make_alert("A", ends_at=over, now=over))
    home.report(*(make_alert(f"B{n}", ends_at=over, now=over) for n in range(4)))

    home.pass_time(900, step=5)

    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []
