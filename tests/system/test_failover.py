"""The primary is lost under load: what was acknowledged is done, once, and nobody lends a hand."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.processes import wait_for
from tests.sentinels import Quorum
from tests.sink import Sink
from tests.system.plant import SHORT, Plant, Sender
from tests.system.test_alerts_survive import CONFIG, report
from tests.workers.alerting.house import KEY, TAKEN

pytestmark = pytest.mark.timeout(120)

WITHIN = 15.0
"""Seconds after which deliveries are answered 2xx again."""

TOLD = 15
"""Events that each get an incident of their own, sent all the while."""


@pytest.fixture(params=[1, 2], ids=["one replica", "two replicas"])
def quorum(request: pytest.FixtureRequest) -> Iterator[Quorum]:
    """Yield a primary, its replicas and three Sentinels, of either server that is here."""
    binary = shutil.which("redis-server") if request.param == 2 else None
    made = Quorum(replicas=request.param, binary=binary)
    yield made
    made.close()


@pytest.fixture
def plant(quorum: Quorum, tmp_path: Path, sink: Sink) -> Iterator[Plant]:
    """Yield a plant that knows Redis by its Sentinels alone, and pages the sink."""
    sink.answer(202, TAKEN)
    file = tmp_path / "hooks.yaml"
    file.write_text(CONFIG.format(key=KEY, url=sink.url, quiet="1h"))
    made = Plant(
        tmp_path,
        server=quorum.primary,
        **SHORT,
        SYNAP_REDIS_URL=quorum.url,
        SYNAP_ACK="replica",
        SYNAP_CONFIG=str(file),
    )
    yield made
    made.close()


def test_the_primary_is_killed_under_load(quorum: Quorum, plant: Plant, sink: Sink) -> None:
    """No acknowledged event is lost, 2xx comes again within 15 s, and no worker needs a hand."""
    plant.receiver()
    plant.start("workers")
    plant.wait_settled(plant.send(1, prefix="first"), seconds=40)
    sender = Sender(plant.url, threads=2)
    telling = threading.Thread(target=tell, args=(plant,))
    telling.start()
    sender.wait_for_more(50)

    quorum.primary.kill()
    killed = time.monotonic()
    promoted = quorum.promoted()
    if len(quorum.replicas) == 1:
        quorum.rejoin(quorum.primary, promoted)
    sender.wait_for_more(1)
    down = time.monotonic() - killed
    sender.wait_for_more(20)
    sender.stop()
    telling.join()

    plant.server = promoted
    told = [f"evt_T{number}" for number in range(TOLD)]
    acknowledged = sorted({*sender.acknowledged, *told})
    plant.wait_settled(acknowledged, seconds=40)
    plant.account(acknowledged)
    assert down <= WITHIN
    wait_for(lambda: len(incidents(sink)) >= TOLD, seconds=20, what="every incident")
    assert incidents(sink) == {f"T{number}": 1 for number in range(TOLD)}


def tell(plant: Plant) -> None:
    """Send events whose codes each get an incident of their own, each until it is accepted."""
    with httpx2.Client(timeout=10) as client:
        for number in range(TOLD):
            while True:
                try:
                    report(plant, client, f"T{number}")
                    break
                except (AssertionError, httpx2.HTTPError):
                    time.sleep(0.1)
            time.sleep(0.2)


def incidents(sink: Sink) -> dict[str, int]:
    """Return how many incidents each code has where its target keeps them by their key."""
    keys: dict[str, set[str]] = {}
    for seen in sink.seen:
        if seen.path == "/page":
            code = str(seen.json["payload"]["custom_details"].get("error_code"))
            keys.setdefault(code, set()).add(seen.json["dedup_key"])
    return {code: len(found) for code, found in keys.items() if code.startswith("T")}
