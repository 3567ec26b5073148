"""A worker dies at every point between a due group and the target: nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import TAKEN, House, bodies, open_incidents, page
from tests.workers.alerting.mortal import KilledError

POINTS = range(1, 25)
"""Before and after each command to Redis and each call; a flush and an attempt have fewer."""

CHAT = """
route:
  receiver: chat
  group_wait: 0s
  group_interval: 1m
  routes: [{{receiver: nowhere, matchers: [event_type=service]}}]
receivers:
  - name: nowhere
  - name: chat
    slack_configs: [{{api_url: "{url}/chat", send_resolved: true}}]
"""


HOOK = """
route:
  receiver: hook
  group_wait: 0s
  group_interval: 10s
  routes: [{{receiver: nowhere, matchers: [event_type=service]}}]
receivers:
  - name: nowhere
  - name: hook
    webhook_configs: [{{url: "{url}/hook"}}]
"""


def die(home: House, at: int) -> bool:
    """Work with a process that dies at a point; say whether it got that far."""
    home.dispatcher = home.doomed(at)
    try:
        home.work()
    except KilledError:
        return True
    finally:
        home.dispatcher = home.worker()
    return False


def opened(seen: Sequence[Any]) -> int:
    """Return how many incidents PagerDuty opened: a trigger of an open one is the same one."""
    held: set[str] = set()
    count = 0
    for event in bodies(seen):
        if event["event_action"] == "trigger":
            count += event["dedup_key"] not in held
            held.add(event["dedup_key"])
        else:
            held.discard(event["dedup_key"])
    return count


@pytest.mark.parametrize("at", POINTS)
def test_a_trigger_survives_its_worker(home: House, sink: Sink, at: int) -> None:
    """D4: killed anywhere while it tells of new trouble: one incident opens, and it closes."""
    home.report(make_alert())
    died = die(home, at)
    home.pass_time(65, step=5)
    home.report(make_alert(ends_at=home.now, now=home.now))

    home.pass_time(130, step=5)

    assert died or at > 16
    assert opened(sink.seen) == 1
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


@pytest.mark.parametrize("at", POINTS)
def test_a_resolve_survives_its_worker(home: House, sink: Sink, at: int) -> None:
    """D1, D4: killed anywhere while it tells of the end: the incident closes and stays closed."""
    home.report(make_alert())
    home.work()
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))
    home.now += 61
    home.source.enqueue_due(home.now)
    died = die(home, at)

    home.pass_time(130, step=5)

    assert died or at > 16
    assert opened(sink.seen) == 1
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


@pytest.mark.parametrize("interval", ["1m", "10s"])
@pytest.mark.parametrize("at", POINTS)
def test_trouble_that_ends_while_its_worker_is_dead_is_closed(
    build: Build, sink: Sink, at: int, interval: str
) -> None:
    """D10: a trigger that perhaps arrived is followed by a resolve, one that did not by none."""
    sink.answer(202, TAKEN)
    home = build(page(sink).replace("group_interval: 1m", f"group_interval: {interval}"))
    home.report(make_alert())
    die(home, at)
    arrived = len(sink.seen)
    home.report(make_alert(ends_at=NOW + 1, now=NOW + 1))

    home.pass_time(130, step=5)

    assert open_incidents(sink.seen) == set()
    assert opened(sink.seen) <= 1
    assert opened(sink.seen) >= min(arrived, 1)
    assert home.group_ids() == []


@pytest.mark.parametrize("at", POINTS)
def test_what_may_show_twice_says_so(build: Build, sink: Sink, at: int) -> None:
    """D4: a target without identity hears at least once, and every repeat is marked."""
    sink.answer(200, b"ok")
    home = build(CHAT.format(url=sink.url))
    home.report(make_alert())
    die(home, at)

    home.pass_time(65, step=5)

    sent = [row for row in home.rows() if row["outcome"] == "sent"]
    assert len(sink.seen) in {1, 2}
    assert len(sink.seen) == 1 or sent[-1]["possible_duplicate"] == "1"


@pytest.mark.parametrize("at", POINTS)
def test_what_comes_again_keeps_its_id(build: Build, sink: Sink, at: int) -> None:
    """D4: killed anywhere, with a flush before the next attempt: the same news has the same id."""
    home = build(HOOK.format(url=sink.url))
    home.report(make_alert())
    die(home, at)
    home.pass_time(65, step=5)
    home.report(make_alert(ends_at=home.now, now=home.now))
    home.now += 10
    home.source.enqueue_due(home.now)
    die(home, at)

    home.pass_time(65, step=5)

    told = {(seen.json["status"], seen.headers["x-delivery-id"]) for seen in sink.seen}
    assert sorted(status for status, _ in told) == ["firing", "resolved"]
    assert home.group_ids() == []


@pytest.mark.parametrize("at", range(1, 61, 3))
def test_workers_that_keep_dying_get_through(home: House, sink: Sink, at: int) -> None:
    """D4: every worker dies a little later than the one before; what was due is told in the end."""
    home.report(make_alert())
    for point in range(at % 7 + 1, 24, 5):
        die(home, point)
        home.now += 31
        home.source.enqueue_due(home.now)
    home.pass_time(65, step=5)
    assert opened(sink.seen) == 1
    home.report(make_alert(ends_at=home.now, now=home.now))

    home.pass_time(190, step=5)

    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


def test_a_target_that_answers_after_its_group_has_ended(build: Build, sink: Sink) -> None:
    """D10: trouble that ends while its trigger is on the way is closed once that arrived."""
    sink.answer(202, TAKEN)
    home = build(page(sink).replace("group_interval: 1m", "group_interval: 10s"))
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    deliverer = home.dispatcher._deliverer
    tell = deliverer._attempt

    def meanwhile(*args: Any) -> Any:
        home.report(make_alert(ends_at=NOW + 1, now=NOW + 1))
        home.now += 11
        other = home.worker()
        home.source.enqueue_due(home.now)
        for _, ids in home.jobs():
            other.flush(ids, home.now)
        home.now -= 11
        return tell(*args)

    deliverer._attempt = meanwhile  # type: ignore[method-assign]
    home.dispatcher.flush(groups, home.now)

    home.dispatcher = home.worker()
    home.pass_time(190, step=5)

    assert opened(sink.seen) == 1
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []
