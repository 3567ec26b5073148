"""Workers none of which gets far: each is killed after a few calls, again and again."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.workers.rotation.crash.matrix import Matrix, laws
from tests.workers.rotation.crash.ways import ROUGH, SMOOTH
from tests.workers.rotation.people import STANDING
from workers.rotation.state import TERMINAL

SOME, LITTLE = 13, 5
"""So few calls that each step is finished once, and so few that one never is."""

RUNS = [
    *((name, way, SOME) for name, way in (SMOOTH | ROUGH).items()),
    ("http, watched, hardly", SMOOTH["http, watched"], LITTLE),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "stamina"), [pytest.param(way, stamina, id=name) for name, way, stamina in RUNS]
)
def test_killed_again_and_again(matrix: Matrix, redis: Redis, stamina: int) -> None:
    """The rotation ends, or stands where on-call is told of it, and the laws hold."""
    house, rotation = matrix.relay(redis, stamina)

    assert rotation.state in TERMINAL or (rotation.state in STANDING and house.heard.firing())
    laws(house, rotation, glass=matrix.way.glass)
    assert matrix.secrets_found() == []
