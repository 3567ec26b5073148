"""When nobody of a receiver can be told: who is instead, what the service says, and replay."""

from __future__ import annotations

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import (
    KEY,
    PREFIX,
    ROOM,
    TAKEN,
    House,
    bodies,
    config_of,
    dropped_resolves,
    open_incidents,
)
from workers.alerting.notification import Why
from workers.alerting.operations import Operations, Replay
from workers.section import DocumentError


def paired(sink: Sink, *, head: str = "", more: str = "", last: str = "") -> str:
    """Return a configuration whose receiver `page` has the fallback `second`."""
    return f"""
global: {{delivery_deadline: 30s}}
route:
  receiver: page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 5m
  routes: [{{receiver: nowhere, matchers: [event_type=service]}}]
{head}
receivers:
  - name: nowhere
  - name: page
    fallback_receiver: second
    pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/first"}}]
{more}
  - name: second
    pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/second"}}]
{last}
"""


@pytest.fixture
def broken(build: Build, sink: Sink) -> House:
    """Return a house whose first pager refuses everything, and whose second takes it."""
    sink.answer(403, path="/first")
    sink.answer(202, TAKEN, path="/second")
    return build(paired(sink))


def at(sink: Sink, path: str) -> list[str]:
    """Return the actions that a path was told."""
    here = [seen for seen in sink.seen if seen.path == path]
    return [event["event_action"] for event in bodies(here)]


def test_the_fallback_is_told_at_once(broken: House, sink: Sink) -> None:
    """D6: when every way of a receiver is refused for good, its fallback is told."""
    broken.report(make_alert())

    broken.tick(1)

    assert at(sink, "/second") == ["trigger"]


def test_the_fallback_is_told_once_and_told_the_end(broken: House, sink: Sink) -> None:
    """D6: it is not told the same at each flush that fails again, but it is told the end."""
    broken.report(make_alert())
    broken.pass_time(200)
    during = at(sink, "/second")
    broken.report(make_alert(ends_at=broken.now, now=broken.now))

    broken.pass_time(62)

    assert during == ["trigger"]
    assert at(sink, "/second") == ["trigger", "resolve"]
    assert set(at(sink, "/first")) == {"trigger"}
    assert broken.group_ids() == []


def test_the_fallback_is_told_after_the_deadline(broken: House, sink: Sink) -> None:
    """D6: being out of reach until the deadline is a failure for good as well."""
    sink.answer(503, path="/first")
    broken.report(make_alert())

    broken.pass_time(29)
    early = at(sink, "/second")
    broken.pass_time(4)

    assert (early, at(sink, "/second")) == ([], ["trigger"])


def test_one_way_that_works_is_enough(build: Build, sink: Sink) -> None:
    """D6: the fallback is for a receiver of which nobody could be told."""
    sink.answer(403, path="/first")
    sink.answer(200, path="/hook")
    home = build(paired(sink, more=f'    webhook_configs: [{{url: "{sink.url}/hook"}}]'))
    home.report(make_alert())

    home.pass_time(10)

    assert at(sink, "/second") == []


def test_a_fallback_has_its_own_fallback(build: Build, sink: Sink) -> None:
    """D6: fallbacks are a chain."""
    sink.answer(403, path="/first")
    sink.answer(403, path="/second")
    sink.answer(202, TAKEN, path="/third")
    last = f"""    fallback_receiver: third
  - name: third
    pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/third"}}]"""
    home = build(paired(sink, last=last))
    home.report(make_alert())
    home.pass_time(5)
    opened = at(sink, "/third")
    home.report(make_alert(ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert (opened, at(sink, "/third")) == (["trigger"], ["trigger", "resolve"])
    assert home.group_ids() == []


def test_what_ended_before_the_fallback_was_told_is_not_mentioned(
    broken: House, sink: Sink
) -> None:
    """D6, D10: a fallback that was told nothing is not told of an end."""
    sink.answer(503, path="/second", headers={"Retry-After": "90"})
    broken.report(make_alert())
    broken.tick(1)
    broken.report(make_alert(ends_at=broken.now, now=broken.now))
    sink.answer(202, TAKEN, path="/second")

    broken.pass_time(200)

    assert at(sink, "/second") == ["trigger"]
    assert dropped_resolves([s for s in sink.seen if s.path == "/second"]) == []
    assert broken.group_ids() == []


def test_a_fallback_that_waits_survives_the_next_flush(broken: House, sink: Sink) -> None:
    """D6: while its receiver fails again, what the fallback still has to be told is not dropped."""
    sink.answer(503, path="/second", headers={"Retry-After": "28"})
    broken.report(make_alert())
    broken.pass_time(3)
    sink.answer(202, TAKEN, path="/second")

    broken.pass_time(70)

    assert at(sink, "/second")[-1] == "trigger"
    assert len(open_incidents([s for s in sink.seen if s.path == "/second"][1:])) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("gone", 'undefined receiver "gone" used as fallback_receiver', id="undefined"),
        pytest.param("page", "fallback_receiver leads back to itself", id="itself"),
    ],
)
def test_what_a_fallback_may_not_be(name: str, expected: str) -> None:
    """D6: a fallback exists, and leads on to somebody."""
    with pytest.raises(DocumentError, match=expected):
        config_of(
            "route: {receiver: page}\nreceivers:\n"
            f"  - {{name: page, fallback_receiver: {name}, log_configs: [{{}}]}}\n"
        )


def test_a_circle_of_fallbacks_is_refused() -> None:
    """D6: two that stand in for each other tell nobody."""
    with pytest.raises(DocumentError, match="leads back to itself"):
        config_of(
            "route: {receiver: a}\nreceivers:\n  - {name: a, fallback_receiver: b}\n"
            "  - {name: b, fallback_receiver: a}\n"
        )


def test_a_fallback_that_calls_nobody_is_doubtful() -> None:
    """D6: the log is no way to reach a person."""
    config = config_of(
        "route: {receiver: a}\nreceivers:\n  - {name: a, fallback_receiver: b}\n"
        "  - {name: b, log_configs: [{}]}\n"
    )

    assert [str(found) for found in config.warnings] == [
        'hooks.yml:3: fallback_receiver "b" has no target that is called'
    ]


SERVICE = """
route:
  receiver: page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  routes: [{{receiver: house, matchers: [event_type=service]}}]
receivers:
  - name: page
    pagerduty_configs: [{{routing_key: {key}, url: "{url}/first"}}]
  - name: house
    webhook_configs: [{{url: "{url}/house"}}]
"""


def test_the_service_says_that_a_target_fails(build: Build, sink: Sink) -> None:
    """D6: a target that failed for good is an alert of the service itself, raised once."""
    sink.answer(403, path="/first")
    sink.answer(200, path="/house")
    home = build(SERVICE.format(key=KEY, url=sink.url))
    home.report(make_alert())

    home.pass_time(200)

    told = [seen.json for seen in sink.seen if seen.path == "/house"]
    assert len(told) == 1
    assert told[0]["commonLabels"] == {
        "alertname": "SynapHooksTargetFailing",
        "severity": "high",
        "event_type": "service",
        "receiver": "page",
        "target": "pagerduty",
        "reason": "authError",
    }
    assert KEY not in str(told)


def test_an_alert_about_a_target_that_fails_there_raises_no_other(build: Build, sink: Sink) -> None:
    """D6: the alert about a failing target does not feed itself when it fails there too."""
    sink.answer(403)
    home = build(f"""
route: {{receiver: page, group_by: [alertname], group_wait: 0s, group_interval: 1m}}
receivers: [{{name: page, pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/"}}]}}]
""")
    home.report(make_alert(ends_at=NOW + 10))
    home.work()

    home.pass_time(3900, step=10)

    failing = [seen.json for seen in sink.seen if b"SynapHooksTargetFailing" in seen.body]
    assert len(failing) > 1
    assert home.redis.zcard(f"{ROOM}due") == 0


def letters(home: House) -> list[str]:
    """Return the dead letters, the newest first."""
    return [one.id for one in Operations(home.redis, PREFIX).dead_letters()]


def test_a_dead_letter_is_replayed(broken: House, sink: Sink) -> None:
    """A dead letter can be tried once more when its cause is mended."""
    broken.report(make_alert())
    broken.work()
    (letter,) = Operations(broken.redis, PREFIX).dead_letters()
    sink.answer(202, TAKEN, path="/first")

    found = Operations(broken.redis, PREFIX).replay(letter.id, broken.now, patience=60.0)
    broken.tick(1)
    broken.report(make_alert(ends_at=broken.now, now=broken.now))
    broken.pass_time(62)

    assert (letter.target, letter.status, letter.attempts) == ("page/pagerduty/0", "firing", 1)
    assert (letter.title, letter.died_at) == ("A document failed", NOW)
    assert found is Replay.REPLAYED
    assert at(sink, "/first") == ["trigger", "trigger", "resolve"]
    assert letters(broken) == []
    assert broken.group_ids() == []


def test_a_dead_letter_of_a_group_that_is_over_stays_dead(broken: House, sink: Sink) -> None:
    """An incident that is opened after its group has ended would never close: only by force."""
    broken.report(make_alert(ends_at=NOW + 5))
    broken.work()
    broken.pass_time(62)
    (letter, *_) = letters(broken)
    sink.answer(202, TAKEN, path="/first")
    operations = Operations(broken.redis, PREFIX)

    refused = operations.replay(letter, broken.now, patience=60.0)
    forced = operations.replay(letter, broken.now, patience=60.0, force=True)
    broken.tick(1)

    assert (refused, forced) == (Replay.OVER, Replay.REPLAYED)
    assert at(sink, "/first")[-1] == "trigger"


def test_a_dead_letter_that_is_superseded_stays_dead(broken: House, sink: Sink) -> None:
    """Newer news on its way to the same target goes first."""
    broken.report(make_alert())
    broken.work()
    (letter,) = letters(broken)
    sink.answer(503, path="/first", headers={"Retry-After": "25"})
    broken.tick(61)

    found = Operations(broken.redis, PREFIX).replay(letter, broken.now, patience=60.0)

    assert found is Replay.SUPERSEDED


def test_a_dead_letter_that_is_gone(broken: House) -> None:
    """What was trimmed or replayed already is gone."""
    found = Operations(broken.redis, PREFIX).replay("gone:1", broken.now, patience=60.0)

    assert found is Replay.GONE


def test_dead_letters_hold_what_was_to_be_said(broken: House) -> None:
    """A dead letter keeps the whole notification."""
    broken.report(make_alert())
    broken.work()

    (key,) = broken.redis.keys(f"{ROOM}dead:*")
    assert Why.FIRST.value.encode() in broken.redis.hget(key, "notification")


def test_a_fallback_that_calls_nobody_is_asked_in_vain(build: Build, sink: Sink) -> None:
    """D6: with a fallback that only logs, the failure stays what it is."""
    sink.answer(403)
    home = build(f"""
route:
  receiver: page
  group_wait: 0s
  routes: [{{receiver: second, matchers: [event_type=service]}}]
receivers:
  - name: page
    fallback_receiver: second
    pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/first"}}]
  - {{name: second, log_configs: [{{}}]}}
""")
    home.report(make_alert())

    home.pass_time(5)

    assert [row["outcome"] for row in home.rows()] == ["failed"]


def test_a_fallback_that_wants_no_ends_hears_of_none(build: Build, sink: Sink) -> None:
    """D6: an end that could not be told is no news for a fallback that wants no ends."""
    sink.answer(202, TAKEN, path="/first")
    sink.answer(200, path="/hook")
    home = build(
        paired(sink).replace(
            f'pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/second"}}]',
            f'webhook_configs: [{{url: "{sink.url}/hook", send_resolved: false}}]',
        )
    )
    home.report(make_alert(host="1"), make_alert(host="2"))
    home.work()
    sink.answer(403, path="/first")
    home.report(make_alert(host="3", now=NOW + 1))
    home.pass_time(62)
    told = [seen.json for seen in sink.seen if seen.path == "/hook"]
    for host in "123":
        home.report(make_alert(host=host, ends_at=home.now, now=home.now))
    home.pass_time(62)

    assert [len(body["alerts"]) for body in told] == [3]
    assert len([seen for seen in sink.seen if seen.path == "/hook"]) == 1
