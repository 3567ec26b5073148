"""The crash matrix: a child that carries a rotation on is killed, and another process goes on.

Nothing of the child survives but what it wrote: the record in Redis, and the world in its file.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from receiver import logs
from tests.servers import RedisServer
from tests.workers.rotation.crash.key_office import mortal
from tests.workers.rotation.crash.ways import OVERLAP, Way
from tests.workers.rotation.house import House
from tests.workers.rotation.world import OLD
from workers.rotation.record import Rotation
from workers.rotation.state import TERMINAL, State

CANARIES = (b"OldCanary", b"NewCanary")
READING = frozenset(
    {"check", "whoami", "find", "status", "attest", "read_copy", "read_current", "read_pending",
     "read_previous"}
)  # fmt: skip
"""Calls that change nothing: a worker killed after one leaves what the call before it left."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One way, told again and again, each time in a folder and a Redis that are empty at first."""

    way: Way
    server: RedisServer
    office: str
    tmp: Path

    def told(self, redis: Redis) -> tuple[int, list[str]]:
        """Tell the way undisturbed; return after how many calls it turns, and all its calls."""
        house = self._house(redis, self.folder("undisturbed"))
        rotation_id = house.start()
        before = self.way.carry(house, rotation_id)
        self.check(house, rotation_id)
        return before, house.world.read()["calls"]

    def killed(self, redis: Redis, kill_at: int) -> int:
        """Kill a worker after one call and let another finish; return how the first one ended."""
        folder = self.folder(str(kill_at))
        status = self.child(folder, kill_at)
        house, rotation_id = self.taken_over(redis, folder)
        self.way.carry(house, rotation_id)
        self.check(house, rotation_id)
        return status

    def relay(self, redis: Redis, stamina: int) -> tuple[House, Rotation]:
        """Kill each worker after so many calls of its own, until the rotation stands or ends."""
        folder = self.folder(f"relay-{stamina}")
        calls = 0
        while status := self.child(folder, calls + stamina):
            assert status == signal.SIGKILL
            calls = len(House(redis, folder).world.read()["calls"])
        house, rotation_id = self.taken_over(redis, folder)
        return house, house.rotation(rotation_id)

    def folder(self, name: str) -> Path:
        """Return an empty folder, with an empty Redis."""
        self.server.flush()
        folder = self.tmp / name
        folder.mkdir()
        return folder

    def child(self, folder: Path, kill_at: int) -> int:
        """Carry a rotation on in a child that dies after a call; return how the child ended."""
        pid = os.fork()
        if pid:
            return os.waitpid(pid, 0)[1]
        status = 1
        try:
            with (folder / "child.log").open("ab") as out:
                logs.configure("debug", "json", out)
                with self.server.client() as redis:
                    house, rotation_id = self.taken_over(redis, folder, kill_at)
                    self.way.carry(house, rotation_id)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never return into the suite
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)

    def taken_over(self, redis: Redis, folder: Path, kill_at: int = 0) -> tuple[House, str]:
        """Return the world as it was left, and its rotation: a new one if none was begun."""
        house = self._house(redis, folder, kill_at)
        house.clock.now = house.world.read()["now"]
        named = folder / "id"
        if not named.exists() or house.book.read(named.read_text()) is None:
            named.write_text(house.start())
        return house, named.read_text()

    def _house(self, redis: Redis, folder: Path, kill_at: int = 0) -> House:
        house = House(redis, folder, kill_at=kill_at, counts_writes=True)
        house.changes |= {"overlap": OVERLAP, **self.way.changes}
        if self.way.issuer == "http":
            house.by_issuer(mortal(self.office, house.world))
        return house.watched() if self.way.watched else house

    def check(self, house: House, rotation_id: str) -> None:
        """Assert that the way ended as it does, and that the laws were kept."""
        rotation = house.rotation(rotation_id)
        stands = rotation.state is State.PAUSED and bool(self.way.may_stand)
        assert stands or rotation.state is self.way.ends, rotation
        assert house.heard.firing() == (self.way.may_stand if stands else self.way.firing)
        laws(house, rotation, glass=self.way.glass)

    def secrets_found(self) -> list[bytes]:
        """Return what is found of keys in all that Redis ever wrote and all that was logged."""
        files = [*self.server.folder.rglob("*"), *self.tmp.rglob("child.log")]
        written = [path.read_bytes() for path in files if path.is_file()]
        return [canary for canary in CANARIES if any(canary in one for one in written)]


def laws(house: House, rotation: Rotation, *, glass: bool) -> None:
    """Assert what holds however a rotation was disturbed, and wherever it ended."""
    world = house.world.read()
    assert world["most_live"] <= 2, "never more than two live keys"
    for name, found in world["workloads"].items():
        stamps = found["stamps"]
        assert len(stamps) == len(set(stamps)), f"{name} was restarted twice"
        assert set(stamps) <= {rotation.id, f"{rotation.id}-rb"}
        if rotation.state in TERMINAL:
            assert found["reads"] == house.store.held(), f"{name} was restarted too early"
    if OLD in world["revoked_at"]:
        line = list(_revoking(house, rotation.id))
        assert line, "the old key is revoked through the gate, or through the broken glass"
        least = 0.0 if glass else rotation.verified_at + OVERLAP
        assert world["revoked_at"][OLD] >= max(least, line[0])
    if rotation.state in TERMINAL:
        live = [value for value, key in world["keys"].items() if key["alive"]]
        assert live == [house.store.held()], "the one live key is the one that applications get"
        assert (live == [OLD]) is (rotation.state is not State.DONE)
        assert house.store.held("pending") is None


def _revoking(house: House, rotation_id: str) -> Iterator[float]:
    """Yield when the way to the revocation was opened."""
    for line in house.book.history(rotation_id):
        if (line.source, line.target) in {
            (State.REVOKE_GATE, State.REVOKING), (State.BREAK_GLASS, State.REVOKING),
        }:  # fmt: skip
            yield line.at
