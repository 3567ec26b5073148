"""What rotation is made of, in one visible place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from receiver.broker import Keys
from workers.ledger.transitions import Ledger
from workers.metrics import WorkerMetrics
from workers.outbound import Outbound
from workers.rotation.book import Book
from workers.rotation.config import RotationConfig
from workers.rotation.fingerprint import peppered
from workers.rotation.gauges import RotationCollector
from workers.rotation.noticing import Noticing
from workers.rotation.orders import Orders
from workers.rotation.run import Machine, RoutesAlerts
from workers.rotation.schedule import Schedule
from workers.rotation.verify import API_URL, Whoami
from workers.rotation.work import Incidents, Uses, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotations:
    """Rotation, composed."""

    book: Book
    machine: Machine
    schedule: Schedule
    noticing: Noticing
    ledger: Ledger
    outbound: Outbound
    prefix: str

    def close(self) -> None:
        """Close every connection to Synap."""
        self.outbound.close()

    def gauges(self, clock: Callable[[], float]) -> RotationCollector:
        """Return what Prometheus sees of it."""
        return RotationCollector(self.book, self.machine.configuration, clock)

    def orders(self, actor: str) -> Orders:
        """Return the orders of a person, who is named in the history."""
        return Orders(machine=self.machine, ledger=self.ledger, prefix=self.prefix, actor=actor)


def assemble(
    redis: Redis,
    keys: Keys,
    configuration: Callable[[], RotationConfig],
    *,
    ledger: Ledger,
    routing: RoutesAlerts | None,
    metrics: WorkerMetrics,
    fragments: Iterable[str] = (),
    api_url: str | None = None,
    incidents: Incidents = lambda _: (),
    clock: Callable[[], float] = time.time,
) -> Rotations:
    """Compose rotation; nothing is connected before it is used.

    Args:
        redis: a client of its own.
        keys: the names of all keys.
        configuration: says what the `rotation` section holds now.
        ledger: applies what belongs to no event; its scripts know the effect `rotate`.
        routing: brings alerts to on-call; None in a person's shell, where the worker does it.
        metrics: what its work moves.
        fragments: Lua texts that define the effects of `routing`.
        api_url: of Synap, if it is not the public one.
        incidents: what is critical at an instance; a person's shell need not know.
        clock: Unix seconds.
    """
    outbound = Outbound()
    book = Book(redis, keys.prefix, fragments)
    machine = Machine(
        book=book,
        configuration=configuration,
        world=World(
            verifier=Whoami(outbound, api_url or API_URL, clock),
            fingerprint=peppered(redis, keys.prefix),
            uses=_uses(redis, keys),
            authority=lambda: _time(redis),
            incidents=incidents,
        ),
        routing=routing,
        metrics=metrics,
        clock=clock,
    )
    schedule = Schedule(
        book=book,
        ledger=ledger,
        configuration=configuration,
        routing=routing,
        prefix=keys.prefix,
    )
    noticing = Noticing(configuration=configuration, prefix=keys.prefix)
    return Rotations(
        book=book,
        machine=machine,
        schedule=schedule,
        noticing=noticing,
        ledger=ledger,
        outbound=outbound,
        prefix=keys.prefix,
    )


def _uses(redis: Redis, keys: Keys) -> Uses:
    def uses(endpoint: str) -> Mapping[str, float]:
        held: dict[Any, Any] = redis.hgetall(keys.used)
        pairs = ((name.decode().partition("/"), float(at)) for name, at in held.items())
        return {label: at for (of, _, label), at in pairs if of == endpoint}

    return uses


def _time(redis: Redis) -> float:
    seconds, microseconds = redis.time()
    return float(seconds) + float(microseconds) / 1e6
