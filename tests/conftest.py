"""Fixtures: the suite's own Redis, uvicorn and HTTP sink; no socket leaves this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py

from tests.sandbox import Sandbox
from tests.servers import RedisServer, Served, start_redis
from tests.sink import Sink

OURS = ("SYNAP_", "PAGERDUTY_", "SLACK_", "RQ_")
LOOPBACK = ("127.", "::1", "localhost")


def _refuse_strangers(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if not host.startswith(LOOPBACK):
            raise PermissionError(f"a test tried to reach {host}")


def pytest_configure() -> None:
    """Refuse connections to other machines, and forget the caller's settings."""
    sys.addaudithook(_refuse_strangers)
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Yield the suite's own Redis; a test that kills one starts its own instead."""
    server = start_redis()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the URL of the suite's Redis, emptied."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def redis(redis_server: RedisServer, redis_url: str) -> Iterator[redis_py.Redis]:
    """Yield a client (bytes in, bytes out) of the suite's Redis, emptied."""
    assert redis_url
    with redis_server.client() as client:
        yield client


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Yield a function that serves an ASGI application under a real uvicorn in a thread."""
    running: list[Served] = []

    def start(app: Any, **options: Any) -> Served:
        running.append(Served(app, **options))
        return running[-1]

    yield start
    for served in running:
        served.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Yield a recording HTTP server that answers as the test tells it."""
    recording = Sink()
    yield recording
    recording.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Yield a Synap of the test's own, with one instance and no key yet."""
    synap = Sandbox()
    yield synap
    synap.close()
