"""Workers that race, die or come late; and what is never written down."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import ConnectionError  # noqa: A004 - Redis' own
from structlog.testing import capture_logs

from tests.build import make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import KEY, ROOM, TAKEN, House, open_incidents, page
from tests.workers.alerting.mortal import KilledError
from workers.alerting.store import Plan


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
    store.begin(groups, home.now)

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

    def die(*_: object) -> None:
        raise KilledError

    home.dispatcher._deliverer._attempt = die  # type: ignore[method-assign,assignment]
    with pytest.raises(KilledError):
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
    (row,) = store.begin(groups, home.now)
    slow = store.opened(row, lambda group: group.options, home.now, "")
    home.tick(31)

    written = store.finish(slow, Plan(), home.now)

    assert written == (False, None)
    assert len(sink.seen) == 1


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


def test_a_job_takes_along_what_became_urgent_meanwhile(home: House, sink: Sink) -> None:
    """Under load there is one job on its way, and it does the work of many that came since."""
    for number in range(20):
        home.report(make_alert(f"A{number}"))
    jobs = home.jobs()

    for _, ids in jobs:
        home.dispatcher.flush(ids, home.now)

    assert len(jobs) == 1
    assert len(open_incidents(sink.seen)) == 20
    assert home.jobs() == []


def test_what_a_job_cannot_take_along_the_next_takes(home: House, redis: Redis) -> None:
    """A job takes a bounded number of groups; another, for any worker, takes what is left."""
    for number in range(80):
        home.report(make_alert(f"A{number}"))

    taken = []
    while jobs := home.jobs():
        for _, ids in jobs:
            home.dispatcher.flush(ids, home.now)
        taken.append(len(flushed(redis, home.group_ids())))

    assert taken == [33, 65, 80]


def test_a_job_of_many_groups_takes_nothing_along(build: Build, sink: Sink) -> None:
    """What is urgent does not wait until all that the tick found due is told."""
    sink.answer(202, TAKEN)
    home = build(page(sink))
    home.report(make_alert("A"), make_alert("B"))
    home.work()
    home.report(make_alert("A", host="2"), make_alert("B", host="2"))
    home.now += 61
    home.source.enqueue_due(home.now)
    home.report(make_alert("C"), make_alert("D"))
    (_, due), (_, called) = home.jobs()

    home.dispatcher.flush(due, home.now)
    before = len(sink.seen)
    home.dispatcher.flush(called, home.now)

    assert (len(due), before, len(sink.seen)) == (2, 4, 6)


def flushed(redis: Redis, groups: list[str]) -> list[str]:
    """Return those of the groups that were flushed."""
    return [gid for gid in groups if redis.hexists(f"{ROOM}group:{gid}", "flushes")]


def test_after_a_job_began_the_next_is_called(home: House) -> None:
    """What becomes urgent after a job took what there was is called for anew."""
    home.report(make_alert("A"))
    home.work()

    home.report(make_alert("B"))

    assert len(home.jobs()) == 1


def test_what_was_to_be_taken_along_by_a_lost_job_comes_due_again(home: House, sink: Sink) -> None:
    """D4: a job that never began takes nothing with it: the tick hands all of it on."""
    home.report(make_alert("A"), make_alert("B"))
    assert len(home.jobs()) == 1

    home.pass_time(32)

    assert len(open_incidents(sink.seen)) == 2


def test_a_server_that_forgot_the_scripts_is_told_them_again(home: House, sink: Sink) -> None:
    """After a failover no page waits for the tick."""
    home.report(make_alert())
    home.redis.script_flush()

    home.work()

    assert len(sink.seen) == 1


def test_one_broken_group_does_not_stop_the_others(home: House, sink: Sink) -> None:
    """What cannot be read is logged and left; the groups beside it are told."""
    home.report(make_alert("A"), make_alert("B"))
    first, second = home.group_ids()
    home.jobs()
    home.redis.hset(f"{ROOM}alerts:{first}", "broken", "broken")

    with capture_logs() as lines:
        home.dispatcher.flush([first, second], home.now)

    assert [line["error"] for line in lines if line["event"] == "flush.broke"] == ["ValueError"]
    assert len(sink.seen) == 1


def test_one_broken_delivery_does_not_stop_the_others(home: House, sink: Sink) -> None:
    """What cannot be read is logged and left; the deliveries beside it are made."""
    sink.answer(503)
    home.report(make_alert("A"), make_alert("B"))
    home.work()
    sink.answer(202, TAKEN)
    ids = [one.decode() for one in home.redis.zrange(f"{ROOM}deliveries", 0, -1)]
    home.redis.hset(f"{ROOM}delivery:{ids[0]}", "notification", "broken")

    with capture_logs() as lines:
        home.dispatcher.deliver(ids, home.now + 5)

    broke = [line["error"] for line in lines if line["event"] == "delivery.broke"]
    assert broke == ["JSONDecodeError"]
    assert len(open_incidents(sink.seen[1:])) == 1


def test_without_redis_nothing_is_swallowed(home: House, redis: Redis) -> None:
    """A lost server is the worker's trouble, not a group's or a delivery's."""
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    home.dispatcher.flush(groups, home.now)

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError

    home.dispatcher._store._begin = gone  # type: ignore[assignment]
    with pytest.raises(ConnectionError):
        home.dispatcher.flush(groups, home.now)
    home.dispatcher._deliverer._deliveries._claim = gone  # type: ignore[assignment]
    redis.hset(f"{ROOM}delivery:x", "target", "page/pagerduty/0")
    with pytest.raises(ConnectionError):
        home.dispatcher.deliver(["x"], home.now)


def _at_once(steps: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
