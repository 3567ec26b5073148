"""`synap-hooks maca rollback`: named, asked, done once, verified, noted, looked back on."""

from __future__ import annotations

import pytest

from tests.sandbox import Fault
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.conftest import Serve
from tests.workers.synap.console import Console
from tests.workers.synap.service import Service

YEAR = {"storage": {"retention": {"default_ttl_days": 365}}}
OFF = {"storage": {"graph": {"enabled": False}}}
GUARD = """
guard: {good_after: 1h}
"""
BROKEN = "SynapConfigViolation:graph_off"


@pytest.fixture
def service(services: Serve) -> Service:
    """Return a service whose instance changed from a good version to a bad one."""
    service = services(GUARD)
    service.active(YEAR)
    service.tick(3700)
    service.active(OFF)
    return service


def rolled_back(service: Service) -> list[str]:
    """Return the versions that were rolled back to."""
    done = service.sandbox.instance.operations
    return [config_id for operation, config_id in done if operation == "rollback"]


def versions(service: Service) -> tuple[str, str]:
    """Return the ids of the good and the bad version."""
    first, second = service.sandbox.instance.versions
    return first.config_id, second.config_id


def test_to_the_last_version_that_proved_good(service: Service) -> None:
    """Without --to the guard's last known good version is named, and gone back to."""
    good, bad = versions(service)
    console = Console(service)
    assert BROKEN in service.firing

    assert console("maca", "rollback", INSTANCE, "--yes", "--json", "--reason", "graph") == 0

    found = console.document
    assert (found["from"], found["to"], found["verified"]) == (bad, good, True)
    assert found["why"] == "the last version that proved good"
    assert found["alerts_ended"] == ["graph_off"]
    assert [line["what"].split()[1:] for line in found["timeline"]][-1][-2:] == ["active", "one"]
    assert rolled_back(service) == [good]
    service.tick(5)
    assert service.latest(BROKEN).status == "resolved"
    last = service.sandbox.calls[-1]
    assert last.method == "GET"
    posted = next(call for call in service.sandbox.calls if "rollback" in call.path)
    assert posted.body == {"applied_by": "dana", "reason": "graph"}


def test_it_asks(service: Service) -> None:
    """Without --yes a person sees what would change and has to agree."""
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, stdin="n\n") == 1
    assert "graph storage turned on" in console.out
    assert rolled_back(service) == []

    assert console("maca", "rollback", INSTANCE, stdin="y\n") == 0
    assert len(rolled_back(service)) == 1


def test_a_rehearsal_does_nothing(service: Service) -> None:
    """With --dry-run it is only said what would be done."""
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--dry-run", "--json") == 0

    assert console.document["dry_run"] is True
    assert console.document["to"] == versions(service)[0]
    assert rolled_back(service) == []


def test_somebody_has_to_stand_for_it(service: Service) -> None:
    """Without a name nothing is done: Synap and the history both want to know who."""
    console = Console(service, USER="")

    assert console("maca", "rollback", INSTANCE, "--yes") == 2
    assert rolled_back(service) == []


def test_nothing_good_is_known(services: Serve) -> None:
    """Where no version has proved good, one has to be named."""
    service = services()
    service.active(OFF)
    service.active({"retrieval": {"mode": "fast"}})
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes") == 1
    assert "name one with --to" in console.err
    first, _ = versions(service)
    assert console("maca", "rollback", INSTANCE, "--yes", "--to", first) == 0


@pytest.mark.parametrize("status", ["pending_review", "rejected"])
def test_what_was_never_active_cannot_be_gone_back_to(service: Service, status: str) -> None:
    """Synap's refusal is told, with its code, and nothing is noted."""
    instance = service.sandbox.instance
    owner = {"client_id": instance.client_id, "triggered_by_user_id": "ann", "reason": "x"}
    version, _, _ = instance.update(owner | {"config": YEAR})
    if status == "rejected":
        instance.review(version.config_id, {"decision": "reject", "reviewed_by": "bob"})
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes", "--to", version.config_id) == 1

    assert "CONFIG_CONFLICT" in console.err
    assert console("history") == 1


def test_a_lost_answer_rolls_back_once(service: Service) -> None:
    """When the answer is lost, what became of it is looked up; it is done once and verified."""
    service.sandbox.faults.next(Fault(504, b"", taken=True, method="POST"))
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes") == 0

    assert rolled_back(service) == [versions(service)[0]]
    assert "looking it up showed that it was carried out" in console.out


def test_twice_is_once(service: Service) -> None:
    """The same command again finds the version active and changes nothing."""
    good, _ = versions(service)
    console = Console(service)
    assert console("maca", "rollback", INSTANCE, "--yes", "--to", good) == 0

    assert console("maca", "rollback", INSTANCE, "--yes", "--to", good) == 0

    assert rolled_back(service) == [good]
    assert "it was the active one already" in console.out


def test_the_event_that_follows_says_the_same(service: Service) -> None:
    """The config.applied of the rollback neither opens nor closes anything again."""
    console = Console(service)
    assert console("maca", "rollback", INSTANCE, "--yes") == 0
    service.tick(5)

    service.deliver(service.sandbox.events[-1])
    service.tick(5)

    assert service.latest(BROKEN).status == "resolved"
    assert BROKEN not in service.firing


def test_the_version_keeps_its_own_violations(services: Serve) -> None:
    """A violation that the restored version has as well stays open."""
    service = services()
    service.active({})
    service.active(OFF)
    first, _ = versions(service)

    assert Console(service)("maca", "rollback", INSTANCE, "--yes", "--to", first) == 0
    service.tick(5)

    assert service.latest(BROKEN).status == "resolved"
    assert "SynapConfigViolation:retention_unlimited" in service.firing


def test_the_post_mortem_begins_itself(service: Service) -> None:
    """What is known of the change stands in its skeleton; the questions are for people."""
    _, bad = versions(service)
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes", "--reason", "no graph") == 0

    lines = console.out.splitlines()
    assert f"# Post-mortem: configuration {bad} (v2) on {INSTANCE}" in lines
    told = [line.partition("Z  ")[2] for line in lines if line.startswith("- 20")]
    good, _ = versions(service)
    assert "graph storage turned off." in lines
    assert told == [
        f"{bad} (v2) submitted by ann: a reason",
        "reviewed by bob (Synap does not say when)",
        f"{bad} (v2) applied by ann",
        "the guard alerted: graph_off",
        f"{good} (v1) made active again by dana: no graph",
        f"verified: Synap names {good} (v1) as the active one",
    ]
    assert "Synap shows which version is active, and no more" in console.out


def test_redis_may_be_away(service: Service) -> None:
    """With a version named, a rollback needs no Redis; it says what it could not write."""
    good, _ = versions(service)
    console = Console(service, SYNAP_REDIS_URL="unix:///nowhere/at-all.sock")

    assert console("maca", "rollback", INSTANCE, "--yes", "--to", good) == 5

    assert rolled_back(service) == [good]
    assert "left undone: not noted, and no alert was ended: Redis" in console.err
    assert console("maca", "rollback", INSTANCE, "--yes") == 3


def test_what_cannot_be_verified_is_said(service: Service) -> None:
    """A rollback that was taken is noted even if Synap cannot be asked; no alert ends of it."""
    blind = Fault(403, b"{}", method="GET")
    taken = b'{"success": true, "status": "active"}'
    service.sandbox.faults.next(Fault(200, taken, taken=True, method="POST", then=(blind,)))
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes", "--json") == 5

    found = console.document
    assert (found["verified"], found["alerts_ended"]) == (False, [])
    assert found["lacking"].startswith("not verified, so no alert was ended: Synap refused")
    assert console("history") == 0
    assert console("maca", "rollback", INSTANCE, "--yes") == 2
    assert BROKEN in service.firing


def test_another_version_is_active_afterwards(service: Service) -> None:
    """When Synap says that it did it and did not, the answer is no."""
    taken = b'{"success": true, "status": "active"}'
    service.sandbox.faults.next(Fault(200, taken, method="POST"))
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes") == 1
    assert "Synap took the rollback, but" in console.err
    service.sandbox.faults.next(Fault(200, b'{"success": false}', method="POST"))
    assert console("maca", "rollback", INSTANCE, "--yes") == 1
    assert "did not succeed" in console.err


def test_somebody_was_faster(service: Service) -> None:
    """A version that is made active meanwhile is what was wanted."""
    body = b'{"error": "x", "code": "CONFIG_ALREADY_ACTIVE"}'
    service.sandbox.faults.next(Fault(409, body, taken=True, method="POST"))
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes") == 0
    assert "it was made active meanwhile" in console.out


def test_a_reason_has_its_length(service: Service) -> None:
    """What goes into an audit log is bounded."""
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes", "--reason", "x" * 501) == 2
    assert rolled_back(service) == []


def test_the_timeline_may_be_shorter(service: Service) -> None:
    """When the list of versions cannot be read, the rest of the timeline is told."""
    service.sandbox.faults.standing(Fault(403, b"{}", path="/versions"))
    console = Console(service)

    assert console("maca", "rollback", INSTANCE, "--yes", "--json") == 0
    assert len(console.document["timeline"]) == 4
