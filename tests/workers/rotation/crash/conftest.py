"""Fixtures of the crash matrix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer, start_redis
from tests.workers.rotation.crash.key_office import opened
from tests.workers.rotation.crash.matrix import Matrix
from tests.workers.rotation.crash.ways import Way


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Yield a server of this matrix's own: it dies never, and its file holds every write."""
    server = start_redis(appendfsync="no")
    yield server
    server.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of an issuer that lives through every death of a worker."""
    process, url = opened(tmp_path_factory.mktemp("office") / "log")
    yield url
    process.kill()


@pytest.fixture
def matrix(redis_server: RedisServer, office: str, tmp_path: Path, way: Way) -> Matrix:
    """Return the matrix of one way."""
    return Matrix(way, redis_server, office, tmp_path)
