"""From a due group to the target: told once, tried again, closed when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import (
    ROOM,
    House,
    bodies,
    dropped_resolves,
    open_incidents,
)

KEY = "c4naryc4naryc4naryc4naryc4nary00"
TAKEN = b'{"status":"success","message":"ok","dedup_key":"d"}'


def page(sink: Sink, *more: str, options: str = "", extra: str = "") -> str:
    """Return a configuration whose one receiver pages the sink; `more` are further targets."""
    targets = "\n".join(f"    {line}" for line in more)
    return f"""
route:
  receiver: page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 5m
{extra}
receivers:
  - name: page
    pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/pd{KEY}"{options}}}]
{targets}
"""


@pytest.fixture
def home(build: Build, sink: Sink) -> House:
    """Return a house that pages the sink, which takes everything."""
    sink.answer(202, TAKEN)
    return build(page(sink))


def events(sink: Sink) -> list[tuple[str, str]]:
    """Return what PagerDuty was told: action and summary."""
    return [
        (event["event_action"], event.get("payload", {}).get("summary", ""))
        for event in bodies(sink.seen)
    ]


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


def test_what_was_refused_for_good_is_told_at_the_next_flush(home: House, sink: Sink) -> None:
    """B20: a flush that failed leaves its alerts, and the next one tries again."""
    sink.answer(400, b'{"message":"no"}')
    home.report(make_alert())
    home.work()
    sink.answer(202, TAKEN)

    home.tick(61)

    assert [event["event_action"] for event in bodies(sink.seen)] == ["trigger", "trigger"]
    assert home.redis.zcard(f"{ROOM}dead") == 1
    assert [row["outcome"] for row in home.rows()] == ["failed", "sent"]


def test_a_resolve_that_failed_is_not_lost(home: House, sink: Sink) -> None:
    """B19: resolved alerts stay in their group until their end was told."""
    home.report(make_alert())
    home.work()
    sink.answer(400, b"{}")
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))
    home.tick(61)
    sink.answer(202, TAKEN)

    home.tick(61)

    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


def test_an_alert_that_fires_again_while_its_end_is_told_is_kept(home: House, sink: Sink) -> None:
    """B19: only alerts not modified since the flush are forgotten."""
    home.report(make_alert())
    home.work()
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))
    sink.answer(503)
    home.tick(61)
    home.report(make_alert(now=NOW + 61))
    sink.answer(202, TAKEN)

    home.pass_time(130)

    assert events(sink)[-1] == ("trigger", "A document failed")
    assert len(open_incidents(sink.seen)) == 1
    assert len(home.group_ids()) == 1


@pytest.mark.parametrize(
    ("answer", "reason", "wait"),
    [
        pytest.param((429, {"Retry-After": "17"}), "rateLimited", 17.0, id="429-seconds"),
        pytest.param(
            429,
            {"Retry-After": "Fri, 15 Jan 2027 08:00:20 GMT"},
            "rateLimited",
            20.0,
            id="429-date",
        ),
        pytest.param((429, {}), "rateLimited", 0.5, id="429-plain"),
        pytest.param((503, {"Retry-After": "9"}), "serverError", 9.0, id="503"),
        pytest.param((500, {}), "serverError", 0.5, id="500"),
    ],
)
def test_a_target_that_asks_for_patience_gets_it(
    home: House, sink: Sink, answer: tuple[int, dict[str, str]], reason: str, wait: float
) -> None:
    """B27, D2: Retry-After sets the next attempt; without it attempts grow from half a second."""
    status, headers = answer
    sink.answer(status, headers=headers)
    home.report(make_alert())
    home.work()
    sink.answer(202, TAKEN)

    home.tick(wait - 0.1)
    too_early = len(sink.seen)
    home.tick(0.2)

    assert (too_early, len(sink.seen)) == (1, 2)
    assert [(row["outcome"], row["reason"], row["attempt"]) for row in home.rows()] == [
        ("retry", reason, "1"),
        ("sent", "", "2"),
    ]


def test_attempts_grow_apart(home: House, sink: Sink) -> None:
    """B27: the wait grows by half each time, up to a minute."""
    sink.answer(500)
    home.report(make_alert())
    home.work()

    home.pass_time(40, step=0.1)

    times = [float(row["at"]) - NOW for row in home.rows()]
    waits = [round(after - before, 1) for before, after in pairwise(times)]
    assert waits[:4] == pytest.approx([0.5, 0.8, 1.2, 1.7], abs=0.1)
    assert waits == sorted(waits)


def test_after_the_deadline_a_delivery_is_dead(build: Build, redis: Redis, sink: Sink) -> None:
    """D3: a delivery has its own deadline, and its last error is kept as a dead letter."""
    sink.answer(500)
    home = build("global: {delivery_deadline: 30s}" + page(sink))
    home.report(make_alert())
    home.work()

    home.pass_time(31, step=0.5)

    assert home.rows()[-1]["outcome"] == "failed"
    assert home.rows()[-1]["reason"] == "contextDeadlineExceeded"
    assert redis.zcard(f"{ROOM}dead") == 1
    assert redis.zcard(f"{ROOM}deliveries") == 0


def test_the_deadline_caps_what_a_target_asks(build: Build, sink: Sink) -> None:
    """D2, D3: Retry-After beyond the deadline ends at the deadline."""
    sink.answer(429, headers={"Retry-After": "86400"})
    home = build("global: {delivery_deadline: 30s}" + page(sink))
    home.report(make_alert())
    home.work()

    home.tick(30.1)

    assert [row["outcome"] for row in home.rows()] == ["retry", "failed"]


def test_one_target_s_trouble_is_not_told_to_another(build: Build, sink: Sink) -> None:
    """B20, D9: a retry of one integration never repeats one that succeeded."""
    sink.answer(202, TAKEN)
    sink.answer(500, path="/hook")
    home = build(page(sink, f'webhook_configs: [{{url: "{sink.url}/hook"}}]'))
    home.report(make_alert())
    home.work()
    sink.answer(200, path="/hook")

    home.pass_time(3)

    assert sorted(seen.path for seen in sink.seen) == ["/hook", "/hook", f"/pd{KEY}"]


def test_a_resting_target_is_left_alone_by_all_its_deliveries(home: House, sink: Sink) -> None:
    """D2: a target that asked for patience is not asked again for another group."""
    sink.answer(429, headers={"Retry-After": "20"})
    home.report(make_alert("A"))
    home.work()
    home.report(make_alert("B"))
    home.work()
    early = len(sink.seen)
    sink.answer(202, TAKEN)

    home.pass_time(21)

    assert early == 1
    assert len(open_incidents(sink.seen[1:])) == 2


def test_newer_state_replaces_what_could_not_be_told(home: House, sink: Sink) -> None:
    """One delivery for each group and target: after an outage the target hears the latest."""
    sink.answer(503, headers={"Retry-After": "90"})
    home.report(make_alert(host="1"))
    home.work()
    home.report(make_alert(host="2"))
    sink.answer(202, TAKEN)

    home.pass_time(120)

    assert events(sink)[1:] == [("trigger", "A document failed (2 alerts)")]


def test_what_ended_during_an_outage_is_not_told_late(home: House, sink: Sink) -> None:
    """D10: a trigger that never arrived is dropped when its alert is over."""
    sink.answer(503, headers={"Retry-After": "90"})
    home.report(make_alert())
    home.work()
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))
    sink.answer(202, TAKEN)

    home.pass_time(120)

    assert len(sink.seen) == 1
    assert home.group_ids() == []


def test_a_trigger_that_may_have_arrived_is_resolved(home: House, sink: Sink) -> None:
    """D10: when no answer came the incident may be open, so its end is told."""
    sink.answer(hang=3)
    home.report(make_alert())
    home.work()
    sink.answer(503, headers={"Retry-After": "70"})
    home.tick(1)
    home.report(make_alert(ends_at=NOW + 1, now=NOW + 1))
    sink.answer(202, TAKEN)

    home.pass_time(80)

    assert [action for action, _ in events(sink)] == ["trigger", "trigger", "resolve"]


def test_two_workers_that_race_send_once(home: House, sink: Sink) -> None:
    """A flush and a delivery are held under a lease: whoever comes second finds nothing."""
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    workers = [home.worker() for _ in range(4)]

    _at_once([lambda w=worker: w.flush(groups, home.now) for worker in workers])

    assert len(sink.seen) == 1


def test_a_worker_lost_in_a_flush_is_followed_by_another(home: House, sink: Sink) -> None:
    """D4: a flush that was begun and never ended is made again when its lease is over."""
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    store = home.dispatcher._store
    (group,) = store.groups(groups)
    store.begin(group, group.options, home.now, "")

    home.pass_time(29)
    early = len(sink.seen)
    home.pass_time(3)

    assert (early, len(sink.seen)) == (0, 1)


def test_a_worker_lost_in_an_attempt_is_followed_by_another(build: Build, sink: Sink) -> None:
    """D4: an attempt without outcome is made again, and marked where it may show twice."""
    sink.answer(200, b"ok")
    home = build(f"""
route: {{receiver: chat, group_wait: 0s}}
receivers:
  - name: chat
    slack_configs: [{{api_url: "{sink.url}/chat"}}]
""")
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    store = home.dispatcher._store
    home.dispatcher.deliver = lambda ids, now: [store.claim(one, now) for one in ids]  # type: ignore[method-assign,assignment,func-returns-value]
    home.dispatcher.flush(groups, home.now)
    home.dispatcher = home.worker()

    home.pass_time(32)

    assert len(sink.seen) == 1
    assert [row["possible_duplicate"] for row in home.rows()] == ["1"]


def test_a_worker_that_lost_its_fence_writes_nothing(home: House, sink: Sink) -> None:
    """An outcome that comes after the lease went to another is not written."""
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    store = home.dispatcher._store
    (group,) = store.groups(groups)
    slow = store.begin(group, group.options, home.now, "")
    home.tick(31)
    assert slow is not None

    written = store.finish(slow, entries={}, drop=[], send=[], deadline=0, now=home.now)

    assert written is False
    assert len(sink.seen) == 1


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


def test_a_group_outlives_a_route_that_is_gone(build: Build, home: House, sink: Sink) -> None:
    """An incident opened under yesterday's configuration is still closed under today's."""
    home.report(make_alert(ends_at=NOW + 30))
    home.work()
    extra = "  routes: [{matchers: [alertname=IngestionFailed], group_by: [host]}]"
    later = build(page(sink, extra=extra))
    later.now = home.now
    orphan = later.config.route.slot
    assert later.dispatcher._slots.pop(orphan)

    later.pass_time(61)

    assert open_incidents(sink.seen) == set()
    assert later.group_ids() == []


def test_a_receiver_that_is_gone_fails_its_deliveries(
    build: Build, home: House, sink: Sink
) -> None:
    """A delivery to a target that is configured no more ends as a dead letter."""
    sink.answer(500)
    home.report(make_alert())
    home.work()
    later = build("route: {receiver: x}\nreceivers: [{name: x}]\n")

    later.tick(5)

    assert later.rows()[-1]["reason"] == "contextCanceled"


def test_dead_letters_and_rows_are_trimmed(home: House, sink: Sink, redis: Redis) -> None:
    """Every list is bounded."""
    sink.answer(400)
    with redis.pipeline() as pipe:
        for number in range(1000):
            pipe.zadd(f"{ROOM}dead", {f"old{number}": number})
            pipe.hset(f"{ROOM}dead:old{number}", "group", "g")
        pipe.execute()

    home.report(make_alert())
    home.work()

    assert redis.zcard(f"{ROOM}dead") == 1000
    assert redis.exists(f"{ROOM}dead:old0") == 0
    assert redis.exists(f"{ROOM}dead:old1") == 1


def test_a_job_begins_nothing_after_its_time(home: House, sink: Sink) -> None:
    """A job that took too long leaves the rest to the next one."""
    home.report(make_alert("A"), make_alert("B"))
    ticks = iter([NOW, NOW, NOW, NOW + 21, NOW + 21, NOW + 21, NOW + 21])
    home.dispatcher._clock = lambda: next(ticks)
    for _, groups in home.jobs():
        home.dispatcher.flush(groups, NOW)
        break
    first = len(sink.seen)
    home.dispatcher = home.worker()

    home.pass_time(40)

    assert first <= 1
    assert len(open_incidents(sink.seen)) == 2


def test_no_secret_is_stored_or_logged(
    home: House, sink: Sink, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither Redis nor the log ever holds a routing key or a target's URL."""
    home.report(make_alert())
    sink.answer(500)
    home.work()
    sink.answer(400, KEY.encode())

    home.pass_time(5)

    dump = b"".join(redis.dump(key) or b"" for key in redis.keys("*"))
    assert KEY.encode() not in dump
    assert KEY not in "".join(capsys.readouterr())


def test_a_broken_notifier_is_a_retry(home: House) -> None:
    """A defect in one notifier is an outcome like any other, and its message is not logged."""

    class Broken:
        send_resolved, durable, idempotent = True, True, True

        def notify(self, *_: Any) -> Any:
            raise RuntimeError(KEY)

    target = home.dispatcher._integrations["page/pagerduty/0"]
    home.dispatcher._integrations["page/pagerduty/0"] = type(target)(
        receiver="page", name="pagerduty/0", notifier=Broken()
    )
    home.report(make_alert())

    home.work()

    assert [(row["outcome"], row["detail"]) for row in home.rows()] == [("retry", "RuntimeError")]


def _at_once(steps: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
