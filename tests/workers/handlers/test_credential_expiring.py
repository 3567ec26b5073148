"""`credential.expiring`: the climb of severity, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import INSTANCE, NOW, SAMPLES, iso
from tests.workers.handlers.events import decide
from workers.alert import Alert
from workers.handlers import Severity

KIND = "credential.expiring"
HOUR, DAY = 3600.0, 86400.0


def fire(data: dict[str, Any], *, at: float = NOW) -> Alert:
    """Return the one alert that fires."""
    (alert,) = [a for a in decide(KIND, data, at=at).alerts if not a.resolved(NOW)]
    return alert


@pytest.mark.parametrize(
    ("credential_type", "left", "severity"),
    [
        pytest.param("api_key", 30 * DAY, "info", id="key, a month"),
        pytest.param("api_key", 14 * DAY, "low", id="key, 14 days"),
        pytest.param("api_key", 7 * DAY, "medium", id="key, 7 days"),
        pytest.param("api_key", 3 * DAY, "high", id="key, 3 days"),
        pytest.param("api_key", 1 * DAY, "critical", id="key, 1 day"),
        pytest.param("api_key", -1 * HOUR, "critical", id="key, expired"),
        pytest.param("certificate", 23 * HOUR, "critical", id="certificate, under a day"),
        pytest.param("certificate", 25 * HOUR, "high", id="certificate, over a day"),
        pytest.param("certificate", 6 * DAY, "medium", id="certificate, 6 days"),
        pytest.param("bootstrap_key", 1 * HOUR, "low", id="bootstrap key is a reminder"),
        pytest.param("webhook_secret", 2 * DAY, "high", id="webhook secret"),
        pytest.param("passkey", 1 * DAY, "critical", id="another type climbs the same"),
    ],
)
def test_severity_by_time_left(credential_type: str, left: float, severity: str) -> None:
    """Severity is counted from now to the expiry, by type."""
    alert = fire({"credential_type": credential_type, "expires_at": iso(NOW + left)})

    assert alert.labels["severity"] == severity


@pytest.mark.parametrize(
    ("data", "severity"),
    [
        pytest.param({"days_remaining": 10}, "low", id="days remaining"),
        pytest.param({"days_remaining": "2"}, "high", id="as text"),
        pytest.param({"days_remaining": 0}, "critical", id="today"),
        pytest.param(
            {"days_remaining": 10, "expires_at": iso(NOW + HOUR)}, "critical", id="date goes first"
        ),
        pytest.param({"days_remaining": 1e12}, "medium", id="absurd number"),
        pytest.param({}, "medium", id="neither"),
    ],
)
def test_severity_by_what_is_known(data: dict[str, Any], severity: str) -> None:
    """The date counts, else the days; with neither it is worth a look in the day."""
    assert fire(data).labels["severity"] == severity


def test_a_late_report_says_what_is_true_today() -> None:
    """Days are counted from the event's own time, not from its arrival."""
    alert = fire({"days_remaining": 3}, at=NOW - 2.5 * DAY)

    assert alert.labels["severity"] == "critical"
    assert alert.annotations["summary"].endswith("expires in 12 h")


@pytest.mark.parametrize(
    ("data", "at", "ends_at"),
    [
        pytest.param({"expires_at": NOW + 5 * DAY}, NOW, NOW + 5 * DAY, id="at its expiry"),
        pytest.param({"expires_at": NOW + HOUR}, NOW, NOW + DAY, id="but at least a day"),
        pytest.param({"expires_at": NOW - HOUR}, NOW, NOW + DAY, id="expired, a day as well"),
        pytest.param({}, NOW, NOW + 7 * DAY, id="undated, a week"),
        pytest.param({"expires_at": NOW - 9 * DAY}, NOW - 10 * DAY, NOW - 9 * DAY, id="long over"),
    ],
)
def test_when_it_ends(data: dict[str, Any], at: float, ends_at: float) -> None:
    """It ends when the credential is no longer reported; an old report reopens nothing."""
    alert, *_ = decide(KIND, data, at=at).alerts

    assert (alert.ends_at, alert.timeout) == (ends_at, True)


def test_a_step_ends_the_other_severities() -> None:
    """Each report ends the same alert at every other severity, so that a step leaves one open."""
    alert, *over = decide(KIND, {"credential_id": "key_1", "days_remaining": 2}).alerts

    assert alert.labels["severity"] == "high"
    assert {a.labels["severity"] for a in over} == set(Severity) - {"high"}
    assert {(a.ends_at, a.timeout) for a in over} == {(NOW, False)}
    assert {tuple(sorted({**a.labels, "severity": "high"}.items())) for a in over} == {
        tuple(sorted(alert.labels.items()))
    }


def test_the_sentence() -> None:
    """The description names the credential, the moment, and the way to rotate it."""
    alert, *_ = decide(KIND, SAMPLES[KIND], instance_id=INSTANCE).alerts

    assert alert.labels == {
        "alertname": "SynapCredentialExpiring",
        "severity": "high",
        "event_type": KIND,
        "instance_id": INSTANCE,
        "endpoint": "default",
        "credential_id": "key_1",
        "credential_type": "api_key",
    }
    assert alert.annotations["summary"] == f"API key production of {INSTANCE} expires in 2 days"
    assert alert.annotations["description"].startswith(
        "API key production stops working at 2027-01-17 08:00 UTC. Why it matters: "
    )
    assert "revoke the old one after the 48 h overlap" in alert.annotations["description"]
