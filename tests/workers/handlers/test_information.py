"""`config.applied` and `retention.cleanup`: told once, over by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import INSTANCE, NOW, SAMPLES, iso
from tests.workers.handlers.events import decide, decide_by
from workers.handlers import Policy, Severity
from workers.handlers.policy import Retention


@pytest.mark.parametrize("kind", ["config.applied", "retention.cleanup"])
def test_information_ends_by_itself(kind: str) -> None:
    """What only informs is over after an hour, so that nobody has to close it."""
    alert, *_ = decide(kind, at=NOW - 60).alerts

    assert alert.labels["severity"] == "info"
    assert (alert.ends_at, alert.timeout) == (NOW + 3600, True)


def test_config_applied() -> None:
    """The change names both configurations, who applied it and how to go back."""
    data = {**SAMPLES["config.applied"], "applied_at": iso(NOW)}
    (alert,) = decide("config.applied", data, instance_id=INSTANCE).alerts

    assert alert.labels == {
        "alertname": "SynapConfigApplied",
        "severity": "info",
        "event_type": "config.applied",
        "instance_id": INSTANCE,
        "endpoint": "default",
        "config_id": "cfg_2",
        "previous_config_id": "cfg_1",
        "mode": "immediate",
    }
    assert alert.annotations["summary"] == (
        f"Configuration cfg_2 (version 2) is active on {INSTANCE}"
    )
    assert alert.annotations["description"].startswith(
        "Applied by dana at 2027-01-15 08:00 UTC, mode immediate, reason: longer retention. "
    )
    command = f"synap-hooks maca rollback {INSTANCE} --to cfg_1"
    assert f"go back to cfg_1, the one before: {command}." in alert.annotations["description"]
    assert alert.annotations["rollback"] == command


def test_a_rollback_is_news_of_its_own() -> None:
    """Going back to a configuration is another alert than having gone to it."""
    there, *_ = decide("config.applied", {"config_id": "b", "previous_config_id": "a"}).alerts
    back, *_ = decide("config.applied", {"config_id": "a", "rollback_config_id": "b"}).alerts

    assert there.fingerprint != back.fingerprint
    assert back.labels["previous_config_id"] == "b"


def test_retention_cleanup() -> None:
    """The run says what it deleted, of how many, how long it took and under which policy."""
    data = {
        **SAMPLES["retention.cleanup"],
        "started_at": iso(NOW - 600),
        "completed_at": iso(NOW),
    }
    alert, *_ = decide("retention.cleanup", data, instance_id=INSTANCE).alerts

    assert alert.labels["scope"] == "customer"
    assert alert.labels["dry_run"] == "false"
    assert alert.annotations["summary"] == (
        f"Retention deleted 120 memories on {INSTANCE} (scope customer)"
    )
    assert alert.annotations["description"].startswith(
        "The run deleted 120 of 4000 memories (3.0%) in 10 min; "
        "policy: at most 90 days and unknown memories per scope. "
    )


def test_a_dry_run_deletes_nothing() -> None:
    """A dry run is told apart from a real one."""
    alert, *_ = decide("retention.cleanup", {"memories_deleted": 5, "dry_run": True}).alerts

    assert alert.labels["dry_run"] == "true"
    assert "would delete 5 memories" in alert.annotations["summary"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param({}, "deleted unknown of unknown memories in an unknown time", id="nothing"),
        pytest.param(
            {"memories_deleted": 1, "memories_total": 0}, "deleted 1 of 0 memories in", id="of none"
        ),
        pytest.param({"policy": "forever"}, "policy: forever.", id="policy in words"),
        pytest.param(
            {"started_at": iso(NOW), "completed_at": iso(NOW - 5)}, "an unknown time", id="backward"
        ),
    ],
)
def test_what_does_not_add_up_is_left_unsaid(data: dict[str, Any], text: str) -> None:
    """Shares and durations are only given where the numbers allow them."""
    alert, *_ = decide("retention.cleanup", data).alerts

    assert text in alert.annotations["description"]
    assert "%" not in alert.annotations["description"]


@pytest.mark.parametrize(
    ("data", "most_memories", "severity"),
    [
        pytest.param({"memories_deleted": 1000}, None, "info", id="a quarter is expected"),
        pytest.param({"memories_deleted": 1001}, None, "high", id="more is not"),
        pytest.param({"memories_deleted": 1001, "dry_run": True}, None, "info", id="a dry run"),
        pytest.param({"memories_deleted": 501}, 500, "high", id="more than so many"),
        pytest.param({"memories_deleted": 500}, 500, "info", id="not more than so many"),
        pytest.param(
            {"memories_deleted": 9e9, "memories_scanned": None}, None, "info", id="share unknown"
        ),
    ],
)
def test_too_much_deleted(data: dict[str, Any], most_memories: int | None, severity: str) -> None:
    """A run that deletes more than the policy expects is an alert and says so."""
    policy = Policy(retention=Retention(most_memories=most_memories))
    kind = "retention.cleanup"

    alert, *over = decide_by(policy, kind, {**SAMPLES[kind], **data}).alerts

    assert alert.labels["severity"] == severity
    assert ("More than the expected" in alert.annotations["description"]) is (severity == "high")
    assert alert.ends_at == NOW + (86400 if severity == "high" else 3600)
    assert [other.labels["severity"] for other in over] == [
        "info" if severity == "high" else "high"
    ]
    assert all(other.resolved(NOW) for other in over)


def test_exceeded_may_be_information() -> None:
    """A team that wants no alert for it gets one line, and nothing contradicts it."""
    policy = Policy(retention=Retention(exceeded=Severity.INFO, most_memories=1))

    (alert,) = decide_by(policy, "retention.cleanup", {"memories_deleted": 5}).alerts

    assert not alert.resolved(NOW)
