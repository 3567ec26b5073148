"""Whatever is killed, every event that was answered 2xx is done, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from receiver.event import DEFAULT_ENDPOINT, safe_key
from tests.accept import KEYS
from tests.processes import Module, wait_for
from tests.system.plant import SHORT, Plant, Sender

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Callable[..., Plant]]:
    """Yield a function that builds a plant; all are closed in the end."""
    built: list[Plant] = []

    def build(**environ: str) -> Plant:
        built.append(Plant(tmp_path, **environ))
        return built[-1]

    yield build
    for each in built:
        each.close()


def test_the_receiver_is_killed_under_load(plant: Callable[..., Plant]) -> None:
    """What a killed receiver had acknowledged is done; the rest is sent again and done once."""
    site = plant(**SHORT)
    receiver = site.receiver()
    site.start("workers")
    sender = Sender(site.url)

    for _ in range(3):
        sender.wait_for_more(200)
        receiver.kill()
        receiver = site.receiver()
    sender.wait_for_more(200)
    sender.stop()

    site.wait_settled(sorted(sender.acknowledged), seconds=60)
    site.account(sorted(sender.acknowledged))


def test_redis_is_killed_under_load(plant: Callable[..., Plant]) -> None:
    """What was acknowledged is on disk: a killed Redis comes back with all of it."""
    site = plant(**SHORT)
    site.receiver()
    site.start("workers")
    sender = Sender(site.url)

    for _ in range(2):
        sender.wait_for_more(200)
        site.server.kill()
        time.sleep(0.5)
        site.server.start()
    sender.wait_for_more(200)
    sender.stop()

    site.wait_settled(sorted(sender.acknowledged), seconds=60)
    site.account(sorted(sender.acknowledged))


@pytest.mark.parametrize("role", ["events-bulk", "--tick"])
def test_a_worker_is_killed_under_load(plant: Callable[..., Plant], role: str) -> None:
    """A killed worker or tick is started again, and what it had in hand is done."""
    site = plant(**SHORT)
    site.receiver()
    site.start("workers")
    sender = Sender(site.url)

    for _ in range(3):
        sender.wait_for_more(150)
        os.kill(site.child(role), signal.SIGKILL)
    sender.wait_for_more(150)
    sender.stop()

    site.wait_settled(sorted(sender.acknowledged), seconds=60)
    site.account(sorted(sender.acknowledged))


def test_a_worker_is_killed_between_pop_and_start(plant: Callable[..., Plant]) -> None:
    """A job that was popped and never started is in no queue; its events come back."""
    site = plant(**SHORT)
    site.receiver()
    ids = site.send(5)
    with site.server.client() as redis:
        # what RQ's dequeue leaves when its process dies right after it
        while redis.lmove("rq:queue:events-bulk", "rq:queue:events-bulk:intermediate"):
            pass

    site.start("workers")

    site.wait_settled(ids, seconds=60)
    site.account(ids)


@pytest.mark.parametrize("moment", ["kill-once", "late-once"])
def test_a_worker_is_killed_in_its_handler(plant: Callable[..., Plant], moment: str) -> None:
    """Killed within a handler, or between its decision and the write: done once all the same."""
    site = plant(**SHORT)
    site.receiver()
    ids = [
        *site.send(20),
        *site.send(1, prefix="bad", document_id=moment),
        *site.send(20, prefix="b"),
    ]
    site.start("workers", "--tick")

    with_restarts(site, lambda: set(site.states(ids)) <= {"done"}, deaths=1)

    site.account(ids)


def test_a_poison_event_dies_alone(plant: Callable[..., Plant]) -> None:
    """An event that kills every worker ends as a dead letter; its neighbours are done."""
    site = plant(**SHORT, SYNAP_MAX_ATTEMPTS="2")
    site.receiver()
    poison = site.send(1, prefix="poison", document_id="kill")
    ids = [*site.send(20), *site.send(20, prefix="b")]
    site.start("workers", "--tick")

    with_restarts(site, lambda: set(site.states(ids + poison)) <= {"done", "dead"}, deaths=2)

    with site.server.client() as redis:
        held = orjson.loads(redis.get(KEYS.event(safe_key(DEFAULT_ENDPOINT, poison[0]))))
    assert site.states(ids) == {"done": ids}
    assert (held["state"], held["reason"], held["attempts"]) == ("dead", "worker_lost", 2)


def with_restarts(site: Plant, settled: Callable[[], bool], *, deaths: int) -> None:
    """Run a sabotaged worker, starting it again when it dies, until all is settled."""
    workers: list[Module] = []

    def probe() -> bool:
        if not workers or not workers[-1].alive:
            workers.append(site.start("tests.system.saboteur", "events-bulk"))
        return settled()

    wait_for(probe, seconds=90, what="all settled")
    assert len(workers) - 1 == deaths


def test_within_a_minute_with_the_default_settings(plant: Callable[..., Plant]) -> None:
    """With the defaults, what a killed worker had in hand is done within 60 s of recovery."""
    site = plant()
    site.receiver()
    site.start("workers", "--tick")
    ids = [*site.send(3), *site.send(1, prefix="bad", document_id="kill-once")]
    first = site.start("tests.system.saboteur", "events-bulk")
    wait_for(lambda: not first.alive, what="the worker's death")
    began = time.monotonic()

    site.start("tests.system.saboteur", "events-bulk")
    site.wait_settled(ids, seconds=60)

    assert time.monotonic() - began <= 60
    site.account(ids)
