"""A rig, and a service, over the suite's Redis and a sandbox of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.sandbox import Sandbox
from tests.sink import Sink
from tests.workers.synap.rig import Rig
from tests.workers.synap.service import Service

Serve = Callable[..., Service]


@pytest.fixture
def rig(sandbox: Sandbox, redis: Redis) -> Iterator[Rig]:
    """Yield a rig."""
    built = Rig(sandbox, redis)
    yield built
    built.outbound.close()


@pytest.fixture
def services(
    redis: Redis, redis_url: str, sandbox: Sandbox, sink: Sink, tmp_path: Path
) -> Iterator[Serve]:
    """Yield what makes a service of the suite's Redis and the sandbox."""
    built: list[Service] = []

    def make(config: str = "", *, key: str | None = None, **environ: str) -> Service:
        made = Service(redis, redis_url, sandbox, sink, tmp_path, config=config, key=key, **environ)
        built.append(made)
        return made

    yield make
    for service in built:
        service.close()
