"""A target that forgets what it is not told again: told in time, apart from flushes and repeats."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import House
from workers.alerting.notification import Call, Notification
from workers.alerting.receivers import Integration, Receiver
from workers.outbound import Permanent, Reason, Retry, Sent, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A target that wants to be told every twenty seconds; it answers what it is given."""

    told: list[tuple[float, str, int]] = field(default_factory=list)
    answers: list[Verdict] = field(default_factory=list)
    send_resolved: bool = True
    durable: bool = True
    idempotent: bool = True
    stateful: bool = True
    acknowledges: bool = False
    account: str = "mirror"
    keep_alive: float = 20.0

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Note the call."""
        said = (call.now - NOW, notification.status, len(notification.firing))
        self.told.append(said)
        return self.answers.pop(0) if self.answers else Sent()


@pytest.fixture
def mirror() -> Mirror:
    """Return a target."""
    return Mirror()


@pytest.fixture
def home(build: Build, redis: Redis, mirror: Mirror) -> House:
    """Return a house that tells the mirror."""
    assert redis
    built = build("""
route:
  receiver: mirror
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 1h
receivers: [{name: mirror}]
""")
    one = Integration(receiver="mirror", name="alertmanager/0", notifier=mirror)
    receivers = {"mirror": Receiver(name="mirror", integrations=(one,))}
    built.config = replace(built.config, receivers=receivers)
    return built


def test_what_fires_is_told_again_before_it_is_forgotten(home: House, mirror: Mirror) -> None:
    """While a group fires its target is told each `keep_alive`, though nothing is new."""
    home.report(make_alert())
    home.work()

    home.pass_time(100)

    assert [at for at, _, _ in mirror.told] == [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]


def test_news_goes_at_once_and_is_what_is_told_from_then_on(home: House, mirror: Mirror) -> None:
    """A flush with news replaces what is told again."""
    home.report(make_alert())
    home.work()
    home.pass_time(30)
    home.report(make_alert(host="2", now=home.now))

    home.pass_time(60)

    assert mirror.told[-3:] == [(60.0, "firing", 2), (61.0, "firing", 2), (81.0, "firing", 2)] or (
        mirror.told[-2:] == [(60.0, "firing", 2), (80.0, "firing", 2)]
    )


def test_after_the_end_it_is_left_alone(home: House, mirror: Mirror) -> None:
    """The end is told once, and nothing after it."""
    home.report(make_alert())
    home.work()
    home.report(make_alert(ends_at=NOW + 5, now=NOW + 5))

    home.pass_time(200)

    assert [status for _, status, _ in mirror.told].count("resolved") == 1
    assert mirror.told[-1][1] == "resolved"
    assert home.group_ids() == []


def test_a_refusal_of_what_was_told_already_is_no_failure(home: House, mirror: Mirror) -> None:
    """A call that only keeps alive and is refused is made again; no dead letter, no fallback."""
    home.report(make_alert())
    home.work()
    mirror.answers.append(Permanent(Reason.CLIENT_ERROR, "no"))

    home.pass_time(45)

    assert [at for at, _, _ in mirror.told] == [0.0, 20.0, 40.0]
    assert home.redis.zcard("synap:alerting:dead") == 0


def test_a_call_that_failed_is_tried_again_soon(home: House, mirror: Mirror) -> None:
    """A call that only keeps alive has attempts like any other."""
    home.report(make_alert())
    home.work()
    mirror.answers.append(Retry(Reason.SERVER_ERROR, "later"))

    home.pass_time(45)

    assert [at for at, _, _ in mirror.told] == [0.0, 20.0, 21.0, 41.0]


def test_repeats_count_from_what_was_news(home: House, mirror: Mirror) -> None:
    """B24: keeping alive is no notification; the repeat comes when it is due."""
    home.report(make_alert())
    home.work()
    home.pass_time(3700, step=5)

    queued = [row for row in home.rows() if row["outcome"] in {"sent", "keep"}]
    assert len(queued) == len(mirror.told)
    log = home.redis.hgetall(f"synap:alerting:log:{home.group_ids()[0]}")
    assert b'"at":1800003660' in next(iter(log.values()))


def test_a_kept_delivery_without_its_group_ends(home: House, mirror: Mirror) -> None:
    """What is kept alive for a group that exists no more is dropped."""
    home.report(make_alert())
    home.work()
    (gid,) = home.group_ids()
    home.redis.delete(f"synap:alerting:group:{gid}", f"synap:alerting:alerts:{gid}")
    home.redis.zrem("synap:alerting:due", gid)

    home.pass_time(60)

    assert len(mirror.told) == 1
    assert home.redis.keys("synap:alerting:delivery:*") == []
