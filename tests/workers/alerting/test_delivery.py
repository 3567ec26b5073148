"""Targets in trouble: tried again, in time, and never lost in silence."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import (
    KEY,
    ROOM,
    TAKEN,
    House,
    bodies,
    events,
    open_incidents,
    page,
)
from workers.alerting.notification import Call, Notification
from workers.alerting.receivers import Integration, Receiver
from workers.outbound import Permanent, Reason, Retry, Sent, Verdict


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
            (429, {"Retry-After": "Fri, 15 Jan 2027 08:00:20 GMT"}),
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
    """A job that took too long leaves the rest to the tick."""
    home.report(make_alert("A"), make_alert("B"))
    groups = [gid for _, ids in home.jobs() for gid in ids]
    slow = count(NOW, 7)
    home.clock = lambda: float(next(slow))
    home.dispatcher.flush(groups, NOW)
    first = len(sink.seen)
    home.clock = lambda: home.now

    home.pass_time(40)

    assert first == 1
    assert len(open_incidents(sink.seen)) == 2


def test_a_broken_notifier_is_a_retry(home: House) -> None:
    """A defect in one notifier is an outcome like any other, and its message is not logged."""

    class Broken:
        send_resolved = durable = idempotent = stateful = acknowledges = True
        account = "nobody"

        def notify(self, *_: Any) -> Any:
            raise RuntimeError(KEY)

    broken = Integration(receiver="page", name="pagerduty/0", notifier=Broken())
    receivers = {**home.config.receivers, "page": Receiver(name="page", integrations=(broken,))}
    home.config = replace(home.config, receivers=receivers)
    home.report(make_alert())

    home.work()

    assert [(row["outcome"], row["detail"]) for row in home.rows()] == [("retry", "RuntimeError")]


class Stumbling:
    """A target of several calls, of which the first is taken and the second fails once."""

    send_resolved = durable = idempotent = stateful = True
    acknowledges = False
    account = "stumbling"

    def __init__(self, first: Verdict) -> None:
        self.answers = [first]
        self.seen: list[tuple[dict[str, str], bool]] = []

    def notify(self, _: Notification, call: Call) -> Verdict:
        """Note what is remembered, and whether it may be a repeat."""
        self.seen.append((dict(call.memory), call.repeated))
        return self.answers.pop() if self.answers else Sent(memory={"done": "all"})


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Retry(Reason.SERVER_ERROR, "no", memory={"done": "half"}), id="retry"),
        pytest.param(Permanent(Reason.CLIENT_ERROR, "no", {"done": "half"}), id="refused"),
    ],
)
def test_what_was_achieved_before_a_failure_is_remembered(home: House, first: Verdict) -> None:
    """D9: the next attempt knows which of its calls were taken."""
    target = Stumbling(first)
    one = Integration(receiver="page", name="pagerduty/0", notifier=target)
    receivers = {**home.config.receivers, "page": Receiver(name="page", integrations=(one,))}
    home.config = replace(home.config, receivers=receivers)
    home.report(make_alert())
    home.work()

    home.pass_time(62)

    assert target.seen == [({}, False), ({"done": "half"}, True)]
