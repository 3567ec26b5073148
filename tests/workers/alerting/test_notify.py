"""From a due group to the target: told once, and closed when it is over."""

from __future__ import annotations

from structlog.testing import capture_logs

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import (
    ROOM,
    TAKEN,
    House,
    bodies,
    config_of,
    dropped_resolves,
    events,
    open_incidents,
    page,
)


def test_an_incident_opens_and_closes(home: House, sink: Sink) -> None:
    """A firing alert opens one incident; its end closes the same one and forgets the group."""
    home.report(make_alert())
    home.work()
    home.report(make_alert(ends_at=NOW + 10, now=NOW + 10))

    home.tick(61)

    assert events(sink) == [("trigger", "A document failed"), ("resolve", "")]
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []
    assert home.redis.keys(f"{ROOM}delivery*") == []


def test_the_dedup_key_is_the_digest_of_the_group_key(home: House, sink: Sink) -> None:
    """B15: the key under which targets know a group is sha256 of its group key."""
    home.report(make_alert())
    home.work()

    assert open_incidents(sink.seen) == {
        "3226546ed153313121e86ac53842b3d4fa6b15311eb0f9e55e1f7c94fef1d8a9"
    }


def test_the_same_is_not_said_again_before_the_repeat_interval(home: House, sink: Sink) -> None:
    """B24, B25: repeats come at the first multiple of group_interval after repeat_interval."""
    home.report(make_alert())
    home.work()

    home.pass_time(299, step=0.7)
    early = len(sink.seen)
    home.pass_time(3, step=0.7)

    assert (early, len(sink.seen)) == (1, 2)


def test_further_alerts_join_the_incident(home: House, sink: Sink) -> None:
    """A storm of one cause is one incident, told again only when something is new."""
    for host in range(200):
        home.report(make_alert(host=str(host)))
    home.work()
    home.report(make_alert(host="late"))

    home.pass_time(120)

    assert events(sink) == [
        ("trigger", "A document failed (200 alerts)"),
        ("trigger", "A document failed (201 alerts)"),
    ]
    assert len(open_incidents(sink.seen)) == 1


def test_an_end_that_was_only_assumed_comes_by_itself(home: House, sink: Sink) -> None:
    """B18: an alert whose end lies ahead is over at the first flush after it."""
    home.report(make_alert(ends_at=NOW + 90))
    home.work()

    home.pass_time(61)
    before = len(sink.seen)
    home.pass_time(60)

    assert before == 1
    assert events(sink)[1:] == [("resolve", "")]


def test_no_resolve_without_a_trigger(home: House, sink: Sink) -> None:
    """D10: what ended before anybody heard of it is not mentioned."""
    sink.answer(400, b'{"message":"no"}')
    home.report(make_alert())
    home.work()
    sink.answer(202, TAKEN)
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))

    home.pass_time(130)

    assert dropped_resolves(sink.seen) == []
    assert len(sink.seen) == 1
    assert home.group_ids() == []


def test_without_send_resolved_the_log_is_still_cleared(build: Build, sink: Sink) -> None:
    """B27: an end that is not wanted counts as told, without a call."""
    sink.answer(202, TAKEN)
    home = build(page(sink, options=", send_resolved: false"))
    home.report(make_alert())
    home.work()
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))

    home.pass_time(130)

    assert [action for action, _ in events(sink)] == ["trigger"]
    assert home.group_ids() == []


def test_without_send_resolved_only_firing_alerts_are_told(build: Build, sink: Sink) -> None:
    """B27: resolved alerts are left out of what is told."""
    sink.answer(200)
    home = build(f"""
route: {{receiver: hook, group_wait: 0s, group_interval: 1m}}
receivers:
  - name: hook
    webhook_configs: [{{url: "{sink.url}/", send_resolved: false}}]
""")
    home.report(make_alert(host="1"), make_alert(host="2"))
    home.work()
    home.report(make_alert(host="1", ends_at=NOW + 5, now=NOW + 5), make_alert(host="3"))

    home.pass_time(61)

    hosts = [sorted(a["labels"]["host"] for a in body["alerts"]) for body in bodies(sink.seen)]
    assert hosts == [["1", "2"], ["2", "3"]]


def test_alerts_are_told_in_order(build: Build, sink: Sink) -> None:
    """B18: firing alerts first; each part by job, instance and the remaining labels."""
    sink.answer(200)
    home = build(f"""
route: {{receiver: hook, group_wait: 0s, group_interval: 1m}}
receivers:
  - name: hook
    webhook_configs: [{{url: "{sink.url}/"}}]
""")
    home.report(
        make_alert("Z", job="b", instance="1"),
        make_alert("Y", job="a", instance="2"),
        make_alert("X", job="a", instance="1"),
        make_alert("W", job="0"),
    )
    home.work()
    home.report(make_alert("W", job="0", ends_at=NOW + 5, now=NOW + 5))

    home.pass_time(61)

    last = bodies(sink.seen)[-1]
    names = [(alert["labels"]["alertname"], alert["status"]) for alert in last["alerts"]]
    assert names == [("X", "firing"), ("Y", "firing"), ("Z", "firing"), ("W", "resolved")]
    assert last["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


def test_the_log_is_written_where_it_stands(build: Build) -> None:
    """A target that cannot fail is told within the flush and leaves no delivery."""
    home = build("route: {receiver: l, group_wait: 0s}\nreceivers: [{name: l, log_configs: [{}]}]")
    home.report(make_alert())

    with capture_logs() as lines:
        home.work()
        home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))
        home.pass_time(301)

    assert [(line["event"], line["status"]) for line in lines] == [
        ("alert.notified", "firing"),
        ("alert.notified", "resolved"),
    ]
    assert home.redis.zcard(f"{ROOM}deliveries") == 0
    home.pass_time(300)
    assert home.group_ids() == []


def test_a_group_whose_receiver_is_gone_ends_by_itself(build: Build) -> None:
    """A group that nobody can be told of any more is kept until its alerts are over."""
    home = build("route: {receiver: l, group_wait: 0s}\nreceivers: [{name: l, log_configs: [{}]}]")
    home.report(make_alert(ends_at=NOW + 30))
    home.work()
    home.config = config_of("route: {receiver: x, group_wait: 0s}\nreceivers: [{name: x}]")

    with capture_logs() as lines:
        home.pass_time(301)

    assert {line["event"] for line in lines} == {"group.orphaned"}
    assert home.group_ids() == []
