"""The configuration changes while alerts fire: nothing is left open, nothing is told twice."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

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
    open_incidents,
    page,
)
from workers.alert import Alert


def two(sink: Sink, receiver: str, *, routes: str = "", group_by: str = "alertname") -> str:
    """Return a configuration with two pagers, one of which is the root's receiver."""
    return f"""
route:
  receiver: {receiver}
  group_by: [{group_by}]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 5m
  routes:
    - {{receiver: nowhere, matchers: [event_type=service]}}
{routes}
receivers:
  - name: nowhere
  - {{name: a, pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/a"}}]}}
  - {{name: b, pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/b"}}]}}
"""


@pytest.fixture
def home(build: Build, sink: Sink) -> House:
    """Return a house that pages `a`."""
    sink.answer(202, TAKEN)
    return build(two(sink, "a"))


def told(sink: Sink, path: str) -> list[str]:
    """Return the actions that a path was told."""
    return [e["event_action"] for e in bodies([s for s in sink.seen if s.path == path])]


def over(home: House) -> Alert:
    """Return the end of the alert, now."""
    return make_alert(ends_at=home.now, now=home.now)


def test_the_old_receiver_s_incident_is_closed(home: House, sink: Sink) -> None:
    """A slot whose receiver changes: the new one is told, the old one's incident is closed."""
    home.report(make_alert())
    home.work()
    home.config = config_of(two(sink, "b"))
    home.pass_time(62)
    moved = (told(sink, "/a"), told(sink, "/b"))
    home.report(over(home))

    home.pass_time(62)

    assert moved == (["trigger", "resolve"], ["trigger"])
    assert told(sink, "/a") == ["trigger", "resolve"]
    assert told(sink, "/b") == ["trigger", "resolve"]
    assert home.group_ids() == []


def test_what_the_old_receiver_was_never_told_is_dropped(home: House, sink: Sink) -> None:
    """A delivery that still waited for the old receiver is not made any more."""
    sink.answer(503, path="/a", headers={"Retry-After": "70"})
    home.report(make_alert())
    home.work()
    home.config = config_of(two(sink, "b"))
    sink.answer(202, TAKEN, path="/a")

    home.pass_time(130)

    assert told(sink, "/a") == ["trigger"]
    assert told(sink, "/b") == ["trigger"]


def test_alerts_follow_a_new_route(home: House, sink: Sink) -> None:
    """A route that takes an open alert over: it fires there and ends where it was."""
    home.report(make_alert())
    home.work()
    routes = "    - {receiver: b, matchers: [alertname=IngestionFailed]}"
    home.config = config_of(two(sink, "a", routes=routes))

    home.pass_time(62)

    assert (told(sink, "/a"), told(sink, "/b")) == (["trigger", "resolve"], ["trigger"])
    assert len(home.group_ids()) == 1


def test_an_end_that_is_routed_elsewhere_ends_the_old_group(home: House, sink: Sink) -> None:
    """An end that comes after the routes changed and before its old group was looked at counts."""
    home.report(make_alert())
    home.work()
    routes = "    - {receiver: b, matchers: [alertname=IngestionFailed]}"
    home.config = config_of(two(sink, "a", routes=routes))
    home.now += 5
    home.report(over(home))

    home.pass_time(62)

    assert (told(sink, "/a"), told(sink, "/b")) == (["trigger", "resolve"], [])
    assert home.group_ids() == []


def test_an_old_end_does_not_end_what_fired_again(home: House, sink: Sink) -> None:
    """An end from before the alert fired again is no end of it."""
    home.report(make_alert(ends_at=NOW - 100, now=NOW - 100))
    home.report(make_alert())
    home.work()
    home.config = config_of(two(sink, "a", group_by="alertname, severity"))

    home.pass_time(62)

    assert len(open_incidents(sink.seen)) == 1
    assert len(home.group_ids()) == 1


def test_other_group_labels_make_other_groups(home: House, sink: Sink) -> None:
    """After a change of group_by each alert is in its new group, and the old incident is closed."""
    home.report(make_alert(host="1"), make_alert(host="2"))
    home.work()
    home.config = config_of(two(sink, "a", group_by="host"))
    home.pass_time(62)
    between = len(open_incidents(sink.seen))
    for host in "12":
        home.report(make_alert(host=host, ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert between == 2
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


def test_routes_around_it_leave_a_group_alone(home: House, sink: Sink) -> None:
    """Routes that come and go beside a group do not touch it."""
    home.report(make_alert())
    home.work()
    routes = "    - {receiver: b, matchers: [alertname=Other]}"
    home.config = config_of(two(sink, "a", routes=routes))

    home.pass_time(62)

    assert told(sink, "/a") == ["trigger"]


def test_a_receiver_that_exists_no_more_is_named(home: House, sink: Sink) -> None:
    """What nobody can close any more is logged, and does not keep the group for ever."""
    home.report(make_alert(ends_at=NOW + 30))
    home.work()
    home.config = config_of("route: {receiver: x, group_wait: 0s}\nreceivers: [{name: x}]")

    with capture_logs() as lines:
        home.pass_time(62)

    orphaned = [line for line in lines if line["event"] == "group.orphaned"]
    assert orphaned[0]["open_at"] == ["a/pagerduty/0"]
    assert home.group_ids() == []
    assert len(sink.seen) == 1


def test_a_change_of_keys_is_followed_by_its_resolve(build: Build, sink: Sink) -> None:
    """D10: the end goes through the key that accepted the trigger, while it is still known."""
    sink.answer(202, TAKEN)
    home = build(page(sink))
    home.report(make_alert())
    home.work()
    home.config = config_of(
        page(sink, options=f", previous_routing_key: {KEY}").replace(
            f"routing_key: {KEY}, url", "routing_key: n3wn3wn3wn3wn3wn3wn3wn3wn3wn3w00, url"
        )
    )
    home.report(over(home))

    home.pass_time(62)

    keys = [event["routing_key"] for event in bodies(sink.seen)]
    assert keys == [KEY, KEY]


def test_an_end_that_nobody_stated_comes_after_the_resolve_timeout(
    build: Build, sink: Sink
) -> None:
    """B43: with `resolve_timeout` an alert without an end is over when it is not reported again."""
    sink.answer(202, TAKEN)
    home = build("global: {resolve_timeout: 3m}" + page(sink))
    home.report(make_alert())
    home.work()
    home.pass_time(100)
    home.report(make_alert(now=home.now))
    home.pass_time(130)
    renewed = len(open_incidents(sink.seen))

    home.pass_time(130)

    assert renewed == 1
    assert open_incidents(sink.seen) == set()


def test_the_log_outlives_its_group_by_two_repeats(home: House) -> None:
    """B26: what was told last is kept for twice the repeat_interval after the group has ended."""
    home.report(make_alert())
    home.work()
    (gid,) = home.group_ids()
    home.report(over(home))
    home.pass_time(62)

    left = home.redis.ttl(f"{ROOM}log:{gid}")

    assert 590 < left <= 601


def test_what_is_open_is_never_forgotten_while_its_group_lives(home: House) -> None:
    """B26, D1: an entry that holds an incident open has no end of its own."""
    home.report(make_alert())
    home.work()
    (gid,) = home.group_ids()

    assert home.redis.ttl(f"{ROOM}log:{gid}") == -1


def hooked(sink: Sink, receiver: str) -> str:
    """Return a configuration in which `a` keeps no state."""
    return two(sink, receiver).replace(
        f'pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/a"}}]',
        f'slack_configs: [{{api_url: "{sink.url}/chat", send_resolved: true}}]',
    )


def test_an_old_target_that_keeps_no_state_hears_nothing(build: Build, sink: Sink) -> None:
    """What holds nothing open is left alone when the route turns elsewhere."""
    sink.answer(202, TAKEN)
    sink.answer(200, b"ok", path="/chat")
    home = build(hooked(sink, "a"))
    home.report(make_alert())
    home.work()
    home.config = config_of(hooked(sink, "b"))

    home.pass_time(130)

    assert len([seen for seen in sink.seen if seen.path == "/chat"]) == 1
    assert told(sink, "/b") == ["trigger"]


def test_an_end_together_with_a_new_receiver(home: House, sink: Sink) -> None:
    """Trouble that is over when the receiver changes is ended at the old one alone."""
    home.report(make_alert())
    home.work()
    home.config = config_of(two(sink, "b"))
    home.report(over(home))

    home.pass_time(62)

    assert (told(sink, "/a"), told(sink, "/b")) == (["trigger", "resolve"], [])


def test_what_was_folded_ends_in_its_summary_when_its_severity_changes(
    build: Build, sink: Sink
) -> None:
    """A folded group that gets worse stands in the summary as it is now, and only once."""
    sink.answer(202, TAKEN)
    home = build(page(sink, options=", rate_limit: 1/m, rate_burst: 1"))
    home.report(*(make_alert(f"A{number}") for number in range(4)))
    home.pass_time(20)
    home.report(*(make_alert(f"A{n}", severity="critical", now=home.now) for n in range(4)))
    home.pass_time(300, step=5)
    last = home.now
    for number in range(4):
        for severity in ("warning", "critical"):
            home.report(make_alert(f"A{number}", severity=severity, ends_at=last, now=last))

    home.pass_time(900, step=5)

    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


def test_a_receiver_that_was_told_the_end_and_is_gone_is_no_orphan(home: House, sink: Sink) -> None:
    """Nobody is missed who holds nothing open."""
    home.report(make_alert())
    home.work()
    home.report(make_alert(host="2", now=NOW + 1))
    home.config = config_of(two(sink, "b"))
    home.pass_time(62)
    home.config = config_of(
        two(sink, "b").replace(
            f'{{name: a, pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/a"}}]}}',
            "{name: a}",
        )
    )

    with capture_logs() as lines:
        home.pass_time(62)

    assert [line for line in lines if line["event"] == "group.orphaned"] == []
