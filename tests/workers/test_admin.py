"""The workers' admin port: alive, ready and measured."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.worker_registration import register

from receiver.broker import EVENTS, Keys
from workers.admin import MAX_AT_ONCE, AdminServer, Probes, routes
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.worker import build

KEYS = Keys("synap")


def probes(redis: Redis, **other: Any) -> Probes:
    """Return the probes of a supervisor that serves the queue `events`."""
    known: dict[str, Any] = {
        "beat": time.monotonic,
        "stopping": lambda: False,
        "queues": (EVENTS,),
        "keys": KEYS,
    }
    return Probes(redis=redis, **(known | other))


@pytest.fixture
def healthy(redis: Redis) -> Redis:
    """Return a Redis that knows a live worker and a leading tick."""
    worker = build(EVENTS, redis, (), WorkerMetrics(CollectorRegistry()), Stop())
    worker.register_birth()
    redis.set(KEYS.tick, "token", px=60_000)
    return redis


@pytest.fixture
def admin() -> Iterator[Callable[[Probes], AdminServer]]:
    """Yield a function that serves probes on a free port."""
    running: list[AdminServer] = []

    def start(answers: Probes) -> AdminServer:
        server = AdminServer("127.0.0.1", 0, routes(answers, lambda: b"metric 1\n"))
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def get(server: AdminServer, path: str) -> tuple[int, str, bytes]:
    """Return status, content type and body of a GET."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_ready_when_all_is_there(healthy: Redis, admin: Callable[[Probes], AdminServer]) -> None:
    """With Redis, a right clock, a live worker per queue and a leading tick it is ready."""
    status, _, body = get(admin(probes(healthy)), "/readyz")

    checks = dict.fromkeys(["supervisor", "redis", "clock", f"queue:{EVENTS}", "tick"], "ok")
    assert (status, json.loads(body)) == (200, {"ready": True, "checks": checks})


def test_stopping_is_not_ready(healthy: Redis) -> None:
    """A supervisor that ends is not ready."""
    answer = probes(healthy, stopping=lambda: True).readyz()

    assert answer.status == 503
    assert json.loads(answer.body)["checks"]["supervisor"] == "stopping"


def test_missing_tick_is_named(healthy: Redis) -> None:
    """Nobody holding the tick's lease is said."""
    healthy.delete(KEYS.tick)

    answer = probes(healthy).readyz()

    assert (answer.status, json.loads(answer.body)["checks"]["tick"]) == (503, "nobody leads")


def test_queue_without_worker_is_named(healthy: Redis) -> None:
    """A queue whose workers have no heartbeat left is said, though RQ still lists them."""
    worker = build(EVENTS, healthy, (), WorkerMetrics(CollectorRegistry()), Stop())
    healthy.delete(*healthy.keys("rq:worker:*"))
    register(worker)

    answer = probes(healthy).readyz()

    checks = json.loads(answer.body)["checks"]
    assert (answer.status, checks[f"queue:{EVENTS}"]) == (503, "no live worker")


def test_wrong_clock_is_named(healthy: Redis) -> None:
    """A clock that differs from Redis' by more than five seconds is said, with the difference."""
    answer = probes(healthy, clock=lambda: time.time() + 60).readyz()

    checks = json.loads(answer.body)["checks"]
    assert answer.status == 503
    assert checks["clock"] in {"+59.9 s", "+60.0 s"}


def test_absent_redis_is_named() -> None:
    """Without Redis it is not ready, says so, and asks nothing more."""
    absent = Redis(unix_socket_path="/tmp/no-such-redis.sock", retry=Retry(NoBackoff(), 0))

    answer = probes(absent).readyz()

    checks = {"supervisor": "ok", "redis": "ConnectionError"}
    assert json.loads(answer.body) == {"ready": False, "checks": checks}


def test_liveness_touches_nothing(admin: Callable[[Probes], AdminServer]) -> None:
    """It is alive though Redis is away."""
    absent = Redis(unix_socket_path="/tmp/no-such-redis.sock")

    assert get(admin(probes(absent)), "/livez") == (200, "application/json", b'{"status":"ok"}')


def test_hung_loop_is_not_alive(redis: Redis) -> None:
    """A supervise loop that has not gone round for long is reported."""
    answer = probes(redis, beat=lambda: time.monotonic() - 60).livez()

    assert (answer.status, answer.body) == (503, b'{"status":"hung"}')


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/metrics", (200, b"metric 1\n"), id="metrics"),
        pytest.param("/metrics?name=x", (200, b"metric 1\n"), id="query"),
        pytest.param("/", (404, b'{"error":"not found"}'), id="other"),
    ],
)
def test_paths(
    redis: Redis,
    admin: Callable[[Probes], AdminServer],
    path: str,
    expected: tuple[int, bytes],
) -> None:
    """Metrics are served as text; anything unknown is not found."""
    status, _, body = get(admin(probes(redis)), path)

    assert (status, body) == expected


def test_broken_route_is_answered(redis: Redis, admin: Callable[[Probes], AdminServer]) -> None:
    """A probe gets an answer even when what it asks for breaks."""
    broken = probes(redis, beat=lambda: None)

    status, _, body = get(admin(broken), "/livez")

    assert (status, body) == (500, b'{"error":"failed"}')


def test_clients_are_bounded(redis: Redis, admin: Callable[[Probes], AdminServer]) -> None:
    """Idle clients take all places, one more is turned away, and a place that is left is free."""
    server = admin(probes(redis))
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MAX_AT_ONCE)]
    time.sleep(0.2)

    with socket.create_connection(("127.0.0.1", server.port)) as late:
        late.settimeout(3)
        turned_away = late.recv(1)
    for client in idle:
        client.close()
    time.sleep(0.2)

    assert turned_away == b""
    assert get(server, "/livez")[0] == 200


def test_rude_client_is_survived(redis: Redis, admin: Callable[[Probes], AdminServer]) -> None:
    """A client that resets its connection is no event."""
    server = admin(probes(redis))
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")

    assert get(server, "/livez")[0] == 200
