"""A machine over a fake world and a real Redis, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.bystanders import FakeCopy, FakeWitness
from tests.workers.rotation.fake_store import FakeStore
from tests.workers.rotation.world import INSTANCE, NEW, OLD, FakeIssuer, FakeRollout, FakeSynap
from tests.workers.rotation.world import World as Fake
from workers.alert import Alert
from workers.ledger.transitions import Effect
from workers.metrics import WorkerMetrics
from workers.rotation.book import Book, begin, rotate_lua
from workers.rotation.config import BY_HAND, Credential, Mode, RotationConfig
from workers.rotation.fingerprint import Peppered
from workers.rotation.orders import first_entry
from workers.rotation.ports import Issuer
from workers.rotation.record import Rotation, plan
from workers.rotation.run import Machine
from workers.rotation.state import TERMINAL, State
from workers.rotation.work import World

PREFIX = "synap"
NAME = "production"


class Clock:
    """Unix seconds that move when a test says so."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class Heard:
    """Keeps the alerts that were handed on, in Redis, so that they live and die with the write."""

    redis: Redis

    def effects(self, alerts: Sequence[Alert], now: float) -> list[Effect]:
        """Return one write per alert."""
        del now
        return [Effect("hear", (alert.to_wire(),)) for alert in alerts]

    @property
    def alerts(self) -> list[Alert]:
        """Everything that was handed on, in order."""
        wires: Any = self.redis.lrange("heard", 0, -1)
        return [Alert.from_wire(wire) for wire in wires]

    def firing(self) -> set[str]:
        """Return the names of what fires now: last said, and without an end."""
        last = {alert.fingerprint: alert for alert in self.alerts}
        return {alert.name for alert in last.values() if alert.ends_at is None}


HEAR_LUA = "effects['hear'] = function(a) redis.call('RPUSH', 'heard', a[1]) end"


class CountedBook(Book):
    """A book whose writes are calls after which a process may die."""

    def __init__(self, redis: Redis, prefix: str, fragments: Sequence[str], world: Fake) -> None:
        super().__init__(redis, prefix, fragments)
        self._world = world

    def _write(self, *given: Any) -> bool:
        written = super()._write(*given)
        with self._world.change("write"):
            return written


@cache
def metrics() -> WorkerMetrics:
    """Return what machines move; to make it takes longer than most of what they do."""
    return WorkerMetrics(CollectorRegistry())


@dataclass
class House:
    """One credential and everything around it."""

    redis: Redis
    folder: Path
    kill_at: int = 0
    counts_writes: bool = False
    clock: Clock = field(default_factory=Clock)
    uses: dict[str, float] = field(default_factory=dict)
    incidents: list[Alert] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    world: Fake = field(init=False)
    store: FakeStore = field(init=False)
    heard: Heard = field(init=False)

    def __post_init__(self) -> None:
        fresh = not (self.folder / "world.json").exists()
        self.world = Fake(self.folder / "world.json", self.kill_at)
        self.store = FakeStore(self.world)
        self.heard = Heard(self.redis)
        if fresh:
            self.world.add_key(OLD, key_id="key_old")
            self.world.set_time(self.clock())
            self.store.fill(OLD)

    @property
    def credential(self) -> Credential:
        """The credential as it is configured."""
        plain = Credential(
            name=NAME,
            mode=Mode.AUTOMATIC,
            issuer=BY_HAND,
            key_id="key_old",
            stores=(self.store,),
            rollout=FakeRollout(self.world),
        )
        return replace(plain, **self.changes)

    @property
    def book(self) -> Book:
        """The rotations in Redis."""
        fragments = [HEAR_LUA, rotate_lua()]
        if self.counts_writes:
            return CountedBook(self.redis, PREFIX, fragments, self.world)
        return Book(self.redis, PREFIX, fragments)

    @property
    def machine(self) -> Machine:
        """A machine, as a new process has it."""
        return Machine(
            book=self.book,
            configuration=lambda: RotationConfig(credentials=(self.credential,)),
            world=World(
                verifier=FakeSynap(self.world),
                fingerprint=Peppered(lambda: b"pepper"),
                uses=lambda _endpoint: self.uses,
                authority=self.clock,
                incidents=lambda _instance: self.incidents,
            ),
            routing=self.heard,
            metrics=metrics(),
            clock=self.clock,
            sleep=lambda seconds: self.wait_for(self.clock() + seconds),
        )

    def by_issuer(self, issuer: Issuer | None = None) -> House:
        """Let an issuer make the keys, the fake one if no other is given."""
        self.changes["issuer"] = issuer or FakeIssuer(self.world)
        return self

    def watched(self) -> House:
        """Let applications read a copy of the store, and say which key they use."""
        copy = FakeCopy(self.world)
        if not self.world.read()["copy"]:
            copy.fill()
        self.changes |= {"copies": (copy,), "witness": FakeWitness(self.world)}
        return self

    def start(self, **given: Any) -> str:
        """Begin a rotation and return its id."""
        entry = first_entry("dana", self.clock(), "")
        plain = plan(NAME, now=self.clock(), trigger="person", **given)
        rotation = replace(plain, instance_id=INSTANCE, tip=entry.chain)
        effect = begin(PREFIX, rotation, entry, reported_at=self.clock())
        room = f"local effects = {{}}\n{HEAR_LUA}\n{rotate_lua()}"
        script = self.redis.register_script(f"{room}\neffects[ARGV[1]]({{unpack(ARGV, 2)}})")
        script(args=[effect.name, *effect.args])
        return rotation.id

    def rotation(self, rotation_id: str) -> Rotation:
        """Return the record."""
        found = self.book.read(rotation_id)
        assert found is not None
        return found

    def run(self, rotation_id: str, *, until: State | None = None, steps: int = 400) -> Rotation:
        """Carry the rotation on, moving the clock to each deadline, until a state or its end."""
        for _ in range(steps):
            found = self.rotation(rotation_id)
            if found.state in TERMINAL or found.state is until:
                return found
            self.wait_for(max(found.due_at, found.lease))
            self.machine.advance(rotation_id)
        raise AssertionError(f"no end: {self.rotation(rotation_id)}")

    def wait_for(self, moment: float) -> None:
        """Move the clock on to a moment."""
        self.clock.now = max(self.clock.now, moment)
        self.world.set_time(self.clock.now)

    def path(self, rotation_id: str) -> list[str]:
        """Return the states that the rotation went through."""
        lines = self.book.history(rotation_id)
        return [line.target for line in lines if line.source != line.target]


def new_key(house: House, *, instance_id: str = INSTANCE) -> str:
    """Make a key by hand at Synap, and return it."""
    house.world.add_key(NEW, key_id="key_new", instance_id=instance_id)
    return NEW


Build = Callable[..., House]
