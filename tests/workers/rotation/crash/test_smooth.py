"""A worker is killed after every single external call of a rotation in which nothing goes wrong.

A child process carries the rotation on and is killed with SIGKILL after its n-th call (a call of
a port, or a write of the record); another process then takes it to its end.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from redis import Redis

from tests.servers import RedisServer
from tests.workers.rotation.crash.matrix import CANARIES, Matrix
from tests.workers.rotation.crash.ways import SMOOTH
from tests.workers.rotation.world import NEW

SHARES = 4


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in SMOOTH.items()])
@pytest.mark.parametrize("share", range(SHARES))
def test_killed_after_every_call(matrix: Matrix, redis: Redis, share: int) -> None:
    """Whatever call was the last one, the rotation ends in DONE and keeps the laws."""
    _, calls = matrix.told(redis)

    ended = [matrix.killed(redis, kill_at) for kill_at in range(1 + share, len(calls) + 1, SHARES)]

    assert set(ended) == {signal.SIGKILL}
    assert matrix.secrets_found() == []


def test_the_canaries_would_be_found(
    redis_server: RedisServer, redis: Redis, office: str, tmp_path: Path
) -> None:
    """The dump holds whatever anybody writes to Redis, in any form of key."""
    redis.hset("somewhere", "field", NEW)

    found = Matrix(SMOOTH["manual"], redis_server, office, tmp_path).secrets_found()

    assert found == [CANARIES[1]]
