"""The tick: one works at a time, nothing that fails stops the rest, the lease is taken over."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry
from structlog.testing import capture_logs

from tests.servers import ROOT, RedisServer, start_redis, wait_for
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.tick import Errand, Lease, Tick

NAME = "synap:tick"

CHILD = """
import sys
from prometheus_client import CollectorRegistry
from redis import Redis
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.tick import Lease, Tick

redis = Redis(unix_socket_path=sys.argv[1])
Tick(
    Lease(redis, "synap:tick", seconds=1.0),
    sources={"retries": lambda now: redis.incr("ticks")},
    sweeps={},
    sweep_interval=10,
    metrics=WorkerMetrics(CollectorRegistry()),
).run(Stop().listen())
"""


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def metrics() -> WorkerMetrics:
    """Return metrics in a registry of their own."""
    return WorkerMetrics(CollectorRegistry())


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """Yield a Redis that the test may kill."""
    server = start_redis()
    yield server
    server.close()


def fail(now: float) -> int:
    """Fail, whatever the time."""
    raise ValueError(now)


def counting(seen: list[float]) -> Errand:
    """Return an errand that remembers when it ran."""

    def errand(now: float) -> int:
        seen.append(now)
        return 0

    return errand


def make(
    redis: Redis,
    metrics: WorkerMetrics,
    clock: Clock,
    *,
    sources: Mapping[str, Errand],
    sweeps: Mapping[str, Errand] | None = None,
) -> Tick:
    """Return a tick with a lease of five seconds that sweeps every ten."""
    return Tick(
        Lease(redis, NAME, seconds=5),
        sources=sources,
        sweeps=sweeps or {},
        sweep_interval=10,
        metrics=metrics,
        clock=clock,
    )


def test_two_ticks_one_works(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """Of two ticks only the one that holds the lease runs its sources."""
    first_ran: list[float] = []
    second_ran: list[float] = []
    first = make(redis, metrics, clock, sources={"retries": counting(first_ran)})
    second = make(redis, metrics, clock, sources={"retries": counting(second_ran)})

    led = [first.step(), second.step(), first.step(), second.step()]

    assert led == [True, False, True, False]
    assert (len(first_ran), len(second_ran)) == (2, 0)


def test_lease_is_renewed(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """Each round extends the lease."""
    tick = make(redis, metrics, clock, sources={})
    tick.step()
    redis.pexpire(NAME, 1_000)

    tick.step()

    assert redis.pttl(NAME) > 4_000


def test_lost_lease_stops_the_round(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """A tick whose lease went to another within a round does not go on with the round."""
    ran: list[float] = []

    def lose(_: float) -> int:
        return int(bool(redis.set(NAME, "another")))

    tick = make(redis, metrics, clock, sources={"alerting": lose, "retries": counting(ran)})

    assert not tick.step()
    assert ran == []
    assert redis.get(NAME) == b"another"


def test_failing_source_stops_nothing(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """One source that fails is counted each time and logged once; the others run."""
    ran: list[float] = []
    sources = {"alerting": fail, "retries": counting(ran)}
    tick = make(redis, metrics, clock, sources=sources, sweeps={"sweep": counting(ran)})

    with capture_logs() as lines:
        tick.step()
        tick.step()

    assert len(ran) == 3
    assert metrics.tick_errors.labels("alerting")._value.get() == 2
    failures = [line for line in lines if line["event"] == "tick.failed"]
    assert [(line["source"], line["error"]) for line in failures] == [("alerting", "ValueError")]


def test_recovery_is_told(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """A source that works again after a failure is said to."""
    fails = [True, False]

    def flaky(now: float) -> int:
        return fail(now) if fails.pop(0) else 0

    tick = make(redis, metrics, clock, sources={"alerting": flaky})

    with capture_logs() as lines:
        tick.step()
        tick.step()

    events = [line["event"] for line in lines]
    assert events == ["tick.took_over", "tick.failed", "tick.recovered"]


def test_sweeps_run_at_their_interval(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """Sweeps run at once and then each time their interval has passed."""
    swept: list[float] = []
    tick = make(redis, metrics, clock, sources={}, sweeps={"sweep": counting(swept)})

    for now in (1_000, 1_001, 1_009.9, 1_010, 1_011, 1_025):
        clock.now = now
        tick.step()

    assert swept == [1_000, 1_010, 1_025]


def test_clean_stop_releases_the_lease(redis: Redis, metrics: WorkerMetrics, clock: Clock) -> None:
    """A tick that is asked to stop leaves the lease free for the next."""
    stop = Stop()
    tick = make(redis, metrics, clock, sources={})
    thread = threading.Thread(target=tick.run, args=(stop,))
    thread.start()
    wait_for(lambda: redis.exists(NAME), what="the lease")

    stop.requested = True
    thread.join()

    assert redis.exists(NAME) == 0


def test_another_lease_is_not_released(redis: Redis) -> None:
    """A tick that lost its lease does not give away the one of its successor."""
    lease = Lease(redis, NAME, seconds=5)
    redis.set(NAME, "another")

    lease.release()

    assert redis.get(NAME) == b"another"


@pytest.fixture
def spawn(redis_server: RedisServer) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Yield a function that starts a tick; none of them outlives the test."""
    command = [sys.executable, "-c", CHILD, str(redis_server.socket)]
    spawned: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        spawned.append(subprocess.Popen(command, cwd=ROOT))
        return spawned[-1]

    yield start
    for process in spawned:
        process.kill()
        process.wait()


def test_killed_tick_is_replaced(
    redis: Redis, spawn: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """After kill -9 of the leading tick another works once the lease has run out."""
    first = spawn()
    wait_for(lambda: redis.exists(NAME), what="the first tick")
    holder = redis.get(NAME)
    second = spawn()

    first.kill()
    first.wait()

    wait_for(lambda: redis.get(NAME) not in (None, holder), seconds=30, what="the second tick")
    second.terminate()
    assert second.wait(10) == 0
    assert redis.exists(NAME) == 0


def test_tick_survives_redis(mortal: RedisServer, metrics: WorkerMetrics, clock: Clock) -> None:
    """A tick whose Redis is away stands back, says so once, and leads again when it is back."""
    client = mortal.client(retry=Retry(NoBackoff(), 0))
    ran: list[float] = []
    tick = make(client, metrics, clock, sources={"retries": counting(ran)})

    with capture_logs() as lines:
        before = tick.step()
        mortal.kill()
        away = [tick.step(), tick.step()]
        mortal.start()
        client.delete(NAME)
        back = tick.step()

    assert (before, away, back, len(ran)) == (True, [False, False], True, 2)
    assert [line["event"] for line in lines] == [
        "tick.took_over",
        "tick.failed",
        "tick.stood_back",
        "tick.recovered",
        "tick.took_over",
    ]
    client.close()


def test_a_server_that_became_a_replica_is_left(redis: Redis) -> None:
    """A tick whose server takes no writes any more looks again where its name leads."""
    lease = Lease(redis, NAME, seconds=1.0)
    before = redis.client_id()
    redis.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(ReadOnlyError):
            lease.hold()
        after = redis.client_id()
    finally:
        redis.replicaof("NO", "ONE")

    assert after != before


def test_stop_without_redis_is_quiet(metrics: WorkerMetrics, clock: Clock) -> None:
    """A tick can be stopped while Redis is away."""
    absent = Redis(unix_socket_path="/tmp/no-such-redis.sock", retry=Retry(NoBackoff(), 0))
    stop = Stop()
    stop.requested = True

    with capture_logs() as lines:
        make(absent, metrics, clock, sources={}).run(stop)

    assert [line["event"] for line in lines] == ["tick.kept_lease"]
