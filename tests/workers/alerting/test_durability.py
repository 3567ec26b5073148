"""What survives Redis itself: proof for each outcome, or a mark on what may repeat."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from structlog.testing import capture_logs

from tests.build import make_alert
from tests.servers import RedisServer, start_redis
from tests.sink import Sink
from tests.workers.alerting.house import TAKEN, House, config_of, open_incidents, page
from workers.alerting.durability import Durability

Start = Callable[..., RedisServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Yield a function that starts a Redis of this test's own."""
    running: list[RedisServer] = []

    def one(**options: str) -> RedisServer:
        running.append(start_redis(**options))
        return running[-1]

    yield one
    for server in running:
        server.close()


def durability(redis: Redis, *, ack: str = "fsync", patience: float = 2.0) -> Durability:
    """Return the durability of a server."""
    return Durability(redis, "synap", ack=ack, patience=patience, clock=time.time)


def test_an_outcome_waits_for_its_fsync(start: Start) -> None:
    """The log's write waits as an acknowledgement does, where replies alone prove nothing."""
    server = start(appendfsync="everysec")
    with server.client() as redis:
        if not redis.execute_command("COMMAND INFO", "WAITAOF"):
            pytest.skip("the server has no WAITAOF")
        before = calls(redis, "waitaof")
        durability(redis).run("return redis.call('SET', 'a', ARGV[1])", ["1"])
        waited = calls(redis, "waitaof") - before
        durability(redis, ack="memory").run("return redis.call('SET', 'a', ARGV[1])", ["2"])

        assert waited >= 1
        assert redis.get("a") == b"2"


def calls(redis: Redis, command: str) -> int:
    """Return how often a command was called."""
    found = redis.info("commandstats").get(f"cmdstat_{command}", {})
    return int(found.get("calls", 0))


def test_a_wait_that_fails_is_said_and_no_more(start: Start) -> None:
    """What was written has happened: a wait that comes to no end is logged, not raised."""
    server = start(appendfsync="everysec")
    with server.client() as redis:
        if not redis.execute_command("COMMAND INFO", "WAITAOF"):
            pytest.skip("the server has no WAITAOF")
        found = durability(redis)
        found.suspect(0.0)
        redis.config_set("appendonly", "no")
        with capture_logs() as lines:
            answer = found.run("return 7", [])

    assert answer == 7
    assert [line["event"] for line in lines] == ["outcome.not_durable"]


@pytest.mark.parametrize(
    ("appendfsync", "expected"),
    [pytest.param("always", False, id="always"), pytest.param("everysec", True, id="everysec")],
)
def test_what_a_server_may_have_forgotten(
    start: Start, appendfsync: str, *, expected: bool
) -> None:
    """What happened before the server started may be forgotten, unless every write was on disk."""
    server = start(appendfsync=appendfsync)
    with server.client() as redis:
        found = durability(redis)

        assert found.suspect(time.time() - 60) is expected
        assert found.suspect(time.time() + 60) is False


def test_a_server_that_does_not_say_is_not_trusted(start: Start) -> None:
    """Where CONFIG is forbidden nothing is assumed."""
    server = start(config=["--rename-command", "CONFIG", ""])
    with server.client() as redis:
        assert durability(redis).suspect(time.time() - 60) is True


def test_a_server_without_waitaof_is_not_waited_for(start: Start) -> None:
    """An older server cannot be asked to wait; what it may forget is marked instead."""
    older = shutil.which("redis-server")
    if older is None or "v=7.0" not in subprocess.check_output([older, "-v"], text=True):
        pytest.skip("no Redis 7.0 on PATH")
    server = start(appendfsync="everysec", binary=older)
    with server.client() as redis:
        found = durability(redis)

        assert found.run("return 7", []) == 7
        assert found.suspect(time.time() - 60) is True


def test_nothing_is_sent_again_after_redis_was_killed(start: Start, sink: Sink) -> None:
    """D4: with `appendfsync always` a killed Redis comes back knowing all that was accepted."""
    sink.answer(202, TAKEN)
    server = start()
    with server.client() as redis:
        home = House(redis, config_of(page(sink)))
        home.now = time.time()
        for name in "ABC":
            home.report(make_alert(name, now=home.now))
        home.work()
        server.restart()
        home.pass_time(62)
        for name in "ABC":
            home.report(make_alert(name, ends_at=home.now, now=home.now))
        server.restart()
        home.pass_time(62)
        home.close()

    assert len(sink.seen) == 6
    assert open_incidents(sink.seen) == set()


def test_what_a_server_forgot_is_sent_again_and_says_so(start: Start, sink: Sink) -> None:
    """D4: below `always` the last second may repeat, marked as possibly a duplicate."""
    sink.answer(200, b"ok")
    server = start(appendfsync="no")
    with server.client() as redis:
        home = House(redis, config_of(chat(sink)))
        home.now = time.time()
        home.report(make_alert(now=home.now))
        saved = {key: redis.dump(key) for key in redis.keys("*")}
        home.work()
        forget(server, redis, saved)
        home.now = time.time() + 2
        home.work()
        home.close()

    assert len(sink.seen) == 2
    assert [row["possible_duplicate"] for row in home_rows(home, server)] == ["1"]


def test_what_a_server_forgot_whole_is_sent_again_and_says_so(start: Start, sink: Sink) -> None:
    """D4: so it is when even the group was forgotten, and its event processed again."""
    sink.answer(200, b"ok")
    server = start(appendfsync="no")
    with server.client() as redis:
        home = House(redis, config_of(chat(sink)))
        home.now = time.time()
        alert = make_alert(now=home.now)
        home.report(alert)
        home.work()
        forget(server, redis, {})
        home.now = time.time() + 2
        home.worker_memory_is_gone()
        home.report(alert)
        home.work()
        home.close()

    assert len(sink.seen) == 2
    assert [row["possible_duplicate"] for row in home_rows(home, server)] == ["1"]


def test_an_end_is_told_though_its_trigger_was_forgotten(start: Start, sink: Sink) -> None:
    """D10: a trigger of which the server knows nothing any more may have been accepted."""
    sink.answer(202, TAKEN)
    server = start(appendfsync="no")
    with server.client() as redis:
        home = House(redis, config_of(page(sink)))
        home.now = time.time()
        home.report(make_alert(now=home.now))
        saved = {key: redis.dump(key) for key in redis.keys("*")}
        home.work()
        forget(server, redis, saved)
        home.now = time.time() + 2
        home.report(make_alert(ends_at=home.now, now=home.now))
        home.work()
        home.pass_time(62)
        home.close()

    assert open_incidents(sink.seen) == set()


def chat(sink: Sink) -> str:
    """Return a configuration whose one target knows no identity."""
    return f"""
route: {{receiver: chat, group_wait: 0s}}
receivers: [{{name: chat, slack_configs: [{{api_url: "{sink.url}/chat"}}]}}]
"""


def forget(server: RedisServer, redis: Redis, saved: dict[bytes, bytes]) -> None:
    """Kill a server and bring it back as it was a moment before."""
    time.sleep(1.1)  # its start is only known to the second
    server.restart()
    redis.flushdb()
    for key, value in saved.items():
        redis.restore(key, 0, value)


def home_rows(home: House, server: RedisServer) -> list[dict[str, str]]:
    """Return the rows of the ledger after everything."""
    with server.client() as redis:
        home.redis = redis
        return home.rows()
