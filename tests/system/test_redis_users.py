"""Each role signs in to Redis as its own user, can do its work, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.build import make_event, signed
from tests.processes import wait_for
from tests.sandbox import Sandbox
from tests.sink import Sink
from tests.system.users import SERVERS, Site, refusals, server_of

pytestmark = pytest.mark.timeout(120)

EVENTS = (
    make_event("ingestion.failed", event_id="failed"),
    make_event("config.applied", event_id="applied"),
    make_event("retention.cleanup", event_id="cleanup"),
    make_event(
        "credential.expiring", event_id="expiring", data={"credential_id": "key_production"}
    ),
    make_event("some.other", event_id="strange"),
)
IDS = [event["event_id"] for event in EVENTS]
ALERTS = {
    "SynapIngestionFailed", "SynapConfigApplied", "SynapRetentionCleanup",
    "SynapCredentialExpiring", "SynapRotationAwaitingKey", "SynapHooksQuarantined",
}  # fmt: skip


@pytest.fixture(params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, sink: Sink
) -> Iterator[Site]:
    """Yield a service, not started yet, whose roles have their own users."""
    made = Site(tmp_path, server_of(request.param), sandbox, sink)
    yield made
    made.plant.close()


def alertnames(sink: Sink) -> set[str]:
    """Return the names of all alerts that somebody was told of."""
    return {alert["labels"]["alertname"] for seen in sink.seen for alert in seen.json["alerts"]}


def unrefused(site: Site, probe: Callable[[], bool], *, what: str) -> None:
    """Wait for something, and fail as soon as Redis refuses anybody anything."""

    def look() -> bool:
        assert refusals(site.plant.server) == []
        return probe()

    wait_for(look, seconds=60, what=what)


def test_each_role_can_do_its_work(site: Site, sink: Sink) -> None:
    """The whole path, from each kind of event through a rotation's gate: nothing is refused."""
    person, now = site.person(), time.time()
    site.start()

    with httpx2.Client(timeout=10) as client:
        for sent in (*map(signed, EVENTS), signed(EVENTS[0]), signed(b"no json")):
            assert client.post(site.plant.url, content=sent[0], headers=sent[1]).is_success
    unrefused(site, lambda: alertnames(sink) >= ALERTS, what="every alert")
    assert site.plant.states(IDS) == {"done": IDS}
    assert person.at(now, "rotation", "list", "--json") == 0
    [rotation] = person.document["rotations"]
    new = site.sandbox.issue_key("new")
    assert person.at(now, "rotation", "submit", rotation["id"], stdin=new) == 0, person.err
    unrefused(site, lambda: site.key.read_text() == new, what="the new key")

    def revoking() -> bool:
        assert person.at(time.time(), "rotation", "show", rotation["id"], "--json") == 0
        return bool(person.document["rotation"]["state"] == "revoking")

    unrefused(site, revoking, what="the open gate")
    unrefused(site, lambda: "synap_hooks_redis_up 1.0" in site.metrics(), what="the gauges")
