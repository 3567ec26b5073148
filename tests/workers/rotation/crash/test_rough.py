"""A worker is killed after every call that changes something while something goes wrong.

The calls up to where the way turns are those of a smooth one, and are killed there, after every
single one: what only reads leaves what the call before it left.
"""

from __future__ import annotations

import signal

import pytest
from redis import Redis

from tests.workers.rotation.crash.matrix import READING, Matrix
from tests.workers.rotation.crash.ways import ROUGH


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", [pytest.param(way, id=name) for name, way in ROUGH.items()])
def test_killed_after_every_change(matrix: Matrix, redis: Redis) -> None:
    """It ends as undisturbed, or stands where going on could do harm, and the laws hold."""
    before, calls = matrix.told(redis)

    ended = [
        matrix.killed(redis, kill_at)
        for kill_at, call in enumerate(calls, 1)
        if kill_at >= before and call not in READING
    ]

    assert set(ended) == {signal.SIGKILL}
    assert matrix.secrets_found() == []
