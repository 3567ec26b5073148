"""`config.applied` and `retention.cleanup`: told once, over by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import INSTANCE, NOW, SAMPLES, iso
from tests.workers.handlers.events import decide


@pytest.mark.parametrize("kind", ["config.applied", "retention.cleanup"])
def test_information_ends_by_itself(kind: str) -> None:
    """What only informs is over after an hour, so that nobody has to close it."""
    (alert,) = decide(kind, at=NOW - 60).alerts

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
    assert "roll back to configuration cfg_1" in alert.annotations["description"]


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
    (alert,) = decide("retention.cleanup", data, instance_id=INSTANCE).alerts

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
    (alert,) = decide("retention.cleanup", {"memories_deleted": 5, "dry_run": True}).alerts

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
    (alert,) = decide("retention.cleanup", data).alerts

    assert text in alert.annotations["description"]
    assert "%" not in alert.annotations["description"]
