"""A rollout under load: every process is replaced, and nobody who sends or is told notices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.build import make_event, signed
from tests.processes import Module, free_port, wait_for
from tests.sink import Sink
from tests.system.balancer import Balancer, says_ready
from tests.system.plant import SHORT, Delivery, Plant, Sender

RECEIVERS = 2
SUPERVISORS = 2
DELAY = "3s"
"""For which a receiver that stops still answers: long enough for the balancer to follow."""

TOLD = 25
"""One event in so many is one that somebody is told of, by itself."""

CONFIG = """\
alerting:
  route: {{receiver: nobody, routes: [{{
    receiver: team, matchers: [event_type="credential.expiring"],
    group_by: [credential_id], group_wait: 0s, group_interval: 1h}}]}}
  receivers:
    - name: nobody
    - name: team
      webhook_configs: [{{url: "{sink}/team"}}]
"""


class Place(NamedTuple):
    """A process of the service; workers have no public port."""

    module: Module
    port: int | None
    admin: int


class Rollout:
    """A service behind a balancer; `replace` does to one process what a rolling update does."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        config = folder / "hooks.yaml"
        config.write_text(CONFIG.format(sink=sink.url))
        self.plant = Plant(
            folder,
            **SHORT,
            SYNAP_CONFIG=str(config),
            SYNAP_WORKERS="events=1,notifications=1",
            SYNAP_SHUTDOWN_DELAY=DELAY,
        )
        self.balancer = Balancer()
        self.url = f"http://127.0.0.1:{self.balancer.port}/webhooks/synap"
        self.supervisors = [self._supervisor() for _ in range(SUPERVISORS)]
        self.receivers = [self._receiver() for _ in range(RECEIVERS)]
        for place in (*self.receivers, *self.supervisors):
            self._await(place)

    def _receiver(self) -> Place:
        port, admin = free_port(), free_port()
        module = self.plant.start("receiver", SYNAP_PORT=str(port), SYNAP_ADMIN_PORT=str(admin))
        self.balancer.add(port, admin)
        return Place(module, port, admin)

    def _supervisor(self) -> Place:
        admin = free_port()
        module = self.plant.start("workers", SYNAP_WORKERS_ADMIN_PORT=str(admin))
        return Place(module, None, admin)

    def _await(self, place: Place) -> None:
        """Wait until a process is ready, and a receiver until the balancer knows it."""
        port = place.port
        ready = partial(says_ready, place.admin)
        if port is not None:
            ready = partial(self.balancer.is_ready, port)
        wait_for(ready, seconds=40, what=f"a ready process of {place.module.name}")

    def replace(self, places: list[Place], fresh: Callable[[], Place]) -> int:
        """Add a process, end the oldest once the new one is ready; return the old one's status."""
        places.append(fresh())
        self._await(places[-1])
        old = places.pop(0)
        status = old.module.stop()
        if old.port is not None:
            self.balancer.forget(old.port)
        return status

    def replace_all(self) -> list[int]:
        """Replace every process, one by one; return the status of each that ended."""
        return [
            *(self.replace(self.receivers, self._receiver) for _ in range(RECEIVERS)),
            *(self.replace(self.supervisors, self._supervisor) for _ in range(SUPERVISORS)),
        ]

    def close(self) -> None:
        """End everything; what there was to see of an orderly end has been seen."""
        self.balancer.close()
        for module in self.plant.modules:
            if module.alive:
                module.kill()
        self.plant.close()


@pytest.fixture
def rollout(tmp_path: Path, sink: Sink) -> Iterator[Rollout]:
    """Yield a service that runs and is ready."""
    made = Rollout(tmp_path, sink)
    yield made
    made.close()


def delivery(ident: str) -> Delivery:
    """Return an event, every so many one that is told by itself; two of three hang up."""
    event = make_event("some.other", event_id=ident)
    if is_told(ident):
        event = make_event("credential.expiring", event_id=ident, data={"credential_id": ident})
    body, headers = signed(event)
    return body, headers | ({"connection": "close"} if number(ident) % 3 else {})


def number(ident: str) -> int:
    """Return the number of an event."""
    return int(ident.rpartition("_")[2])


def is_told(ident: str) -> bool:
    """Say whether somebody is told of an event."""
    return number(ident) % TOLD == 0


def told(sink: Sink) -> Counter[str]:
    """Return how often each credential's alert was told to be firing."""
    return Counter(
        alert["labels"]["credential_id"]
        for seen in sink.seen
        for alert in seen.json["alerts"]
        if alert["status"] == "firing"
    )


@pytest.mark.timeout(150)
def test_a_rolling_restart_drops_nothing(rollout: Rollout, sink: Sink) -> None:
    """No ready place refuses, no delivery fails, every event is done once and told once."""
    sender = Sender(rollout.url, threads=2, pause=0.04, delivery=delivery)

    statuses = rollout.replace_all()
    sender.stop()

    sent = sorted(sender.acknowledged)
    rollout.plant.wait_settled(sent, seconds=60)
    expected = Counter(filter(is_told, sent))
    wait_for(lambda: told(sink) >= expected, seconds=30, what="every alert")
    assert statuses == [0] * (RECEIVERS + SUPERVISORS)
    assert (rollout.balancer.refused, sender.failures) == ([], [])
    assert told(sink) == expected
    rollout.plant.account(sent)
