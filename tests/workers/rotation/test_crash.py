"""The crash matrix: a worker is killed after every single external call of every step.

A child process carries the rotation on and is killed with SIGKILL after its n-th call (a call of
a port, or a write of the record); another process then takes it to its end. Every run has to end
well, and to keep the laws on its way.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from receiver import logs
from tests.servers import RedisServer, start_redis
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import NEW, OLD
from workers.rotation.state import State

CANARIES = (b"OldCanary", b"NewCanary")
CALLS = 121
"""No fewer than the calls and writes of the longest way; `test_every_call_is_killed` proves it."""

GROUP = 12
SCENARIOS = ("manual", "http", "rollback")
SHORT_OVERLAP = 2 * 3_600.0


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Yield a server of this matrix's own: it dies never, and its file holds every write."""
    server = start_redis(appendfsync="no")
    yield server
    server.close()


def build(redis: Redis, folder: Path, issuer: str, kill_at: int = 0) -> House:
    """Return a house whose overlap is short: every hour of it is the same."""
    house = House(redis, folder, kill_at=kill_at, counts_writes=True)
    house.changes["overlap"] = SHORT_OVERLAP
    return house if issuer == "manual" else house.by_issuer()


def die_underway(redis_server: RedisServer, folder: Path, issuer: str, kill_at: int) -> int:
    """Carry a new rotation on in a child that dies after a call; return how the child ended."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return status
    status = 1
    try:
        with (folder / "child.log").open("ab") as out:
            logs.configure("debug", "json", out)
            with redis_server.client() as redis:
                house = build(redis, folder, issuer, kill_at)
                rotation_id = house.start()
                (folder / "id").write_text(rotation_id)
                carry(house, rotation_id, issuer)
        status = 0
    except BaseException:  # noqa: BLE001 - a child must never return into the suite
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def finish(redis: Redis, folder: Path, issuer: str) -> House:
    """Take the rotation of a dead child to its end, as another worker does."""
    house = build(redis, folder, issuer)
    house.clock.now = house.world.read()["now"]
    if not (folder / "id").exists():
        (folder / "id").write_text(house.start())
    rotation_id = (folder / "id").read_text()
    if house.book.read(rotation_id) is None:
        (folder / "id").write_text(rotation_id := house.start())
    carry(house, rotation_id, issuer)
    return house


def carry(house: House, rotation_id: str, scenario: str) -> None:
    """Carry a rotation to its end; in one scenario somebody orders it back in the overlap."""
    if scenario == "rollback":
        found = drive(house, rotation_id, until=State.OVERLAP)
        if found.state is State.OVERLAP:
            house.wait_for(found.lease)
            orders(house, house.redis).roll_back(rotation_id, "errors after the change")
    drive(house, rotation_id)


def laws(house: House, folder: Path, scenario: str) -> None:
    """Assert what holds however a rotation was disturbed."""
    rotation = house.rotation((folder / "id").read_text())
    world = house.world.read()
    back = scenario == "rollback"
    assert rotation.state is (State.ROLLED_BACK if back else State.DONE), rotation
    assert world["most_live"] <= 2, "never more than two live keys"
    live = [value for value, key in world["keys"].items() if key["alive"]]
    assert [house.store.held()] == live, "the one live key is the one that applications get"
    assert house.store.held("pending") is None
    restarts = {name: found["stamps"] for name, found in world["workloads"].items()}
    stamps = [rotation.id, f"{rotation.id}-rb"] if back else [rotation.id]
    assert restarts == dict.fromkeys(("canary", "api", "worker"), stamps)
    if not back:
        assert world["revoked_at"][OLD] >= rotation.verified_at + SHORT_OVERLAP
    assert (OLD in world["revoked_at"]) is not back
    assert not house.heard.firing()


def dump(redis_server: RedisServer) -> bytes:
    """Return everything that Redis ever wrote down, and what it holds now."""
    files = [path for path in redis_server.folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("issuer", SCENARIOS)
@pytest.mark.parametrize("first", range(1, CALLS, GROUP))
def test_killed_after_every_call(
    redis_server: RedisServer, redis: Redis, tmp_path: Path, issuer: str, first: int
) -> None:
    """Whatever call was the last one, the rotation ends in DONE and keeps the laws."""
    for kill_at in range(first, first + GROUP):
        redis_server.flush()
        folder = tmp_path / str(kill_at)
        folder.mkdir()

        status = die_underway(redis_server, folder, issuer, kill_at)
        house = finish(redis, folder, issuer)

        assert status in {0, signal.SIGKILL}
        laws(house, folder, issuer)
        assert not any(canary in dump(redis_server) for canary in CANARIES)
        assert not any(canary in (folder / "child.log").read_bytes() for canary in CANARIES)


@pytest.mark.parametrize("issuer", SCENARIOS)
def test_every_call_is_killed(redis: Redis, tmp_path: Path, issuer: str) -> None:
    """The matrix reaches beyond the last call of an undisturbed rotation."""
    house = build(redis, tmp_path, issuer)

    carry(house, house.start(), issuer)

    assert len(house.world.read()["calls"]) < CALLS


def test_the_canaries_would_be_found(redis_server: RedisServer, redis: Redis) -> None:
    """The dump holds whatever anybody writes to Redis, in any form of key."""
    redis.hset("somewhere", "field", NEW)

    assert CANARIES[1] in dump(redis_server)
