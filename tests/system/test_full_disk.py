"""A full disk loses nothing that was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.processes import wait_for
from tests.servers import start_redis
from tests.system.plant import SHORT, Plant, Sender

pytestmark = pytest.mark.timeout(120)

LAST_WORDS = "Can't recover from AOF write error when the AOF fsync policy is 'always'"
UNAVAILABLE = (
    '503 {"error":"The event is not committed; please deliver it again.","code":"unavailable"}'
)


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Callable[..., tuple[Plant, Sender]]]:
    """Yield a function that builds a plant, whose Redis syncs as told, with a sender at work."""
    with ExitStack() as ends:

        def build(appendfsync: str, *, threads: int) -> tuple[Plant, Sender]:
            server = start_redis(appendfsync=appendfsync)
            site = Plant(tmp_path, server=server, **SHORT)
            ends.callback(site.close)
            site.receiver()
            site.start("workers")
            sender = Sender(site.url, threads=threads)
            ends.callback(sender.stop)
            return site, sender

        yield build


def test_redis_exits_under_load(loaded: Callable[..., tuple[Plant, Sender]]) -> None:
    """Under `always` Redis ends, at each start until there is room; all that it took is done."""
    site, sender = loaded("always", threads=4)
    sender.wait_for_more(200)

    site.server.fill_disk(room=50_000)
    ended = [site.server.wait_ended()]
    refused(sender)
    failing = wait_for(lambda: unready(site), what="not ready")
    site.server.start().fill_disk()
    ended.append(site.server.wait_ended())
    site.server.start()
    sender.wait_for_more(200)
    sender.stop()

    site.wait_settled(sorted(sender.acknowledged), seconds=60)
    site.account(sorted(sender.acknowledged))
    assert ended == [1, 1]
    assert (site.server.folder / "server.log").read_text().count(LAST_WORDS) == 2
    assert failing == {"redis": "redis is unreachable"}
    assert set(sender.failures) == {UNAVAILABLE}
    assert unready(site) == {}


def test_redis_refuses_under_load(loaded: Callable[..., tuple[Plant, Sender]]) -> None:
    """Under `everysec` Redis stays, nothing is accepted, and all goes on when there is room."""
    site, sender = loaded("everysec", threads=16)
    sender.wait_for_more(50)

    site.server.fill_disk(room=50_000)
    with site.server.client() as client:
        wait_for(
            lambda: client.info("persistence")["aof_last_write_status"] == "err",
            seconds=40,
            what="a write that fails",
        )
    refused(sender)
    failing = wait_for(lambda: unready(site), what="not ready")
    site.server.free_disk()
    sender.wait_for_more(50)
    sender.stop()

    site.wait_settled(sorted(sender.acknowledged), seconds=60)
    site.account(sorted(sender.acknowledged))
    assert "MISCONF Errors writing to the AOF file" in failing["redis"]
    assert set(sender.failures) == {UNAVAILABLE}
    assert unready(site) == {}


def unready(site: Plant) -> dict[str, Any]:
    """Return what fails as the receiver says, by dependency; empty when it is ready."""
    answer = httpx2.get(f"http://127.0.0.1:{site.admin}/readyz")
    failing: dict[str, Any] = answer.json().get("failing", {})
    assert answer.status_code == (503 if failing else 200)
    return failing


def refused(sender: Sender) -> None:
    """Wait until deliveries are refused; assert that from then on not one is accepted."""
    wait_for_refusals(sender, 20)
    accepted = len(sender.acknowledged)
    wait_for_refusals(sender, 50)
    assert len(sender.acknowledged) == accepted


def wait_for_refusals(sender: Sender, count: int) -> None:
    """Wait until `count` more deliveries were refused."""
    target = len(sender.failures) + count
    wait_for(lambda: len(sender.failures) >= target, what=f"{count} more refusals")
