"""`retention.cleanup` through a whole worker: baseline, silence, policy, counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox import Fault
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.conftest import Serve
from tests.workers.synap.service import Service

DAY = 86_400.0
RUN = "SynapRetentionCleanup"
OVERDUE = "SynapRetentionOverdue"
DIFFERS = "SynapRetentionPolicyDiffers"
YEAR = {"storage": {"retention": {"default_ttl_days": 365, "max_memories_per_scope": 10000}}}


def run(service: Service, deleted: Any = 200, **data: Any) -> dict[str, Any]:
    """Return the body of a run that ends now."""
    given = {"memories_deleted": deleted, "memories_scanned": 100_000, "scope": "customer"}
    return service.sandbox.event("retention.cleanup", given | data)


def told_as(service: Service) -> set[str]:
    """Return the severities at which runs were told."""
    return {one.labels["severity"] for one in service.told if one.name == RUN}


def daily(service: Service, runs: int = 4, **data: Any) -> None:
    """Let a run end each day."""
    for _ in range(runs):
        service.deliver(run(service, **data))
        service.tick(DAY)


@pytest.mark.parametrize(
    ("deleted", "severity"),
    [
        pytest.param(1000, "info", id="five times the usual"),
        pytest.param(1001, "high", id="more"),
        pytest.param("1001", "high", id="as text"),
        pytest.param(None, "info", id="unknown"),
    ],
)
def test_several_times_the_usual_is_an_alert(services: Serve, deleted: Any, severity: str) -> None:
    """A run that deletes more than five times the median of the last runs is an alert."""
    service = services(key="")
    daily(service)

    service.deliver(run(service, deleted))

    told = service.latest(RUN)
    assert told.labels["severity"] == severity
    usual = "More than 5 times the usual 200 (the median of the last 4 runs) are gone. "
    assert (usual in told.notes["description"]) is (severity == "high")


def test_few_memories_are_never_many(services: Serve) -> None:
    """Where almost nothing is deleted usually, a hundred is the least that matters."""
    service = services(key="")
    daily(service, deleted=0)

    service.deliver(run(service, 99))
    assert told_as(service) == {"info"}
    service.deliver(run(service, 100))
    service.tick(1)
    assert told_as(service) == {"info", "high"}


def test_scopes_and_dry_runs_are_apart(services: Serve) -> None:
    """Each scope has its own baseline; a rehearsal deletes nothing and is none."""
    service = services(key="")
    daily(service)
    daily(service, dry_run=True, deleted=100_000)

    service.deliver(run(service, 5000, scope="user"))
    assert service.latest(RUN).labels["severity"] == "info"
    service.deliver(run(service, 1001))
    assert service.latest(RUN).labels["severity"] == "high"


def test_a_silence_is_noticed_and_ends(services: Serve) -> None:
    """No run within twice the usual interval is an alert, which the next run ends."""
    service = services(key="")
    daily(service)
    assert OVERDUE not in service.firing

    service.tick(DAY + 10)
    told = service.latest(OVERDUE)
    assert told.status == "firing"
    assert told.labels["scope"] == "customer"
    assert "Runs usually come every 24 h" in told.notes["description"]

    service.deliver(run(service))
    service.tick(5)
    assert service.latest(OVERDUE).status == "resolved"


def test_a_scope_that_is_gone_is_let_go(services: Serve) -> None:
    """After a dozen intervals nobody waits for a run any more."""
    service = services(key="")
    daily(service)

    for _ in range(6):
        service.tick(3 * DAY)

    assert service.redis.zcard("synap:synap:overdue") == 0
    assert service.redis.hlen("synap:synap:watched") == 0


def test_two_runs_make_no_rhythm(services: Serve) -> None:
    """What came twice may never come again."""
    service = services(key="")
    daily(service, 2)

    service.tick(30 * DAY)

    assert OVERDUE not in service.firing


def test_what_was_deleted_is_counted_once(services: Serve) -> None:
    """Deleted and scanned memories are counters, however often an event is processed."""
    service = services(key="")
    event = run(service)

    service.deliver(event)
    service.deliver(event)
    service.deliver(run(service, dry_run=True))

    counted = service.app.books.snapshot(service.now()).retention
    assert counted == {"deleted": 200, "scanned": 100_000, "runs": 1}


POLICIES = [
    pytest.param({"max_memory_age_days": 365}, None, id="the same"),
    pytest.param({"default_ttl_days": 365, "max_memories_per_scope": 10000}, None, id="spelled"),
    pytest.param({}, None, id="says nothing"),
    pytest.param({"max_memory_age_days": 90}, "at most 90 instead of 365", id="shorter"),
    pytest.param({"max_memory_age_days": 0}, "at most unlimited instead of 365", id="unlimited"),
    pytest.param({"max_memory_age_days": None}, "at most unlimited instead", id="null"),
    pytest.param({"max_memories_per_scope": 5}, "at most 5 instead of 10000", id="fewer"),
]


@pytest.mark.parametrize(("policy", "text"), POLICIES)
def test_another_policy_than_the_active_one(
    services: Serve, policy: dict[str, Any], text: str | None
) -> None:
    """A run by another policy than the active configuration's is an alert that says where."""
    service = services()
    service.active(YEAR)

    service.deliver(run(service, policy=policy))

    assert (DIFFERS in service.firing) is (text is not None)
    assert text is None or text in service.latest(DIFFERS).notes["description"]


def test_policies_that_agree_again_end_it(services: Serve) -> None:
    """The next run by the active policy ends the alert."""
    service = services()
    service.active(YEAR)
    service.deliver(run(service, policy={"max_memory_age_days": 90}))

    service.deliver(run(service, policy={"max_memory_age_days": 365}))
    service.tick(5)

    assert service.latest(DIFFERS).status == "resolved"


def test_many_runs_ask_once(services: Serve) -> None:
    """The active configuration is asked for once a minute, however many scopes report."""
    service = services()
    service.active(YEAR)
    calls = len(service.sandbox.calls)

    policy = {"max_memory_age_days": 365}
    service.deliver(*(run(service, scope=f"scope-{n}", policy=policy) for n in range(50)))

    assert len(service.sandbox.calls) == calls + 1


def test_what_cannot_be_compared_is_said(services: Serve) -> None:
    """With Synap down the run is told, with why its policy was not compared; nothing fires."""
    service = services()
    service.active(YEAR)
    service.sandbox.faults.standing(Fault(401, b"{}"))

    service.deliver(run(service, policy={"max_memory_age_days": 90}))

    assert (
        "Not compared with the active configuration: Synap refused"
        in (service.latest(RUN).notes["description"])
    )
    assert service.firing == {"SynapConfigApplied", RUN}


@pytest.mark.parametrize("config", ["events: {retention.cleanup: {most_times: 2, overdue: info}}"])
def test_a_team_says_what_is_much(services: Serve, config: str) -> None:
    """The factor and the severities are the policy's."""
    service = services(config, key="")
    daily(service)
    service.deliver(run(service, 401))
    assert service.latest(RUN).labels["severity"] == "high"
    assert INSTANCE in service.latest(RUN).notes["summary"]

    service.tick(3 * DAY)
    assert service.latest(OVERDUE).labels["severity"] == "info"
