"""`ingestion.failed`: severities, identity, quiet time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import INSTANCE, NOW, SAMPLES
from tests.workers.handlers.events import decide, decide_by, event_of
from workers.handlers import Policy, Severity
from workers.handlers.ingestion_failed import CAUSE_OF, VERDICTS
from workers.handlers.policy import Cause, Ingestion

KIND = "ingestion.failed"


@pytest.mark.parametrize(
    ("data", "cause", "severity"),
    [
        pytest.param({"error_code": "CREDENTIAL_INVALID"}, "authentication", "critical", id="auth"),
        pytest.param({"error_code": 401}, "authentication", "critical", id="auth by status"),
        pytest.param({"code": "forbidden"}, "authentication", "critical", id="lower case, code"),
        pytest.param(
            {"error_code": "UNAUTHORIZED", "retryable": True},
            "authentication",
            "critical",
            id="auth goes before retryable",
        ),
        pytest.param({"error_code": "402"}, "credits", "high", id="credits"),
        pytest.param(
            {"error": {"code": "INSUFFICIENT_CREDITS"}}, "credits", "high", id="error object"
        ),
        pytest.param({"error_code": "INVALID_INPUT"}, "permanent", "medium", id="permanent"),
        pytest.param({"retryable": False}, "permanent", "medium", id="permanent by flag"),
        pytest.param({"error_code": "RATE_LIMITED"}, "transient", "low", id="transient"),
        pytest.param({"retryable": "true"}, "transient", "low", id="transient by flag"),
        pytest.param(
            {"error_code": "TIMEOUT", "retryable": False},
            "permanent",
            "medium",
            id="the event knows better than the table",
        ),
        pytest.param({"error_code": "PARSE_ERROR"}, "unclear", "medium", id="unclear code"),
        pytest.param({}, "unclear", "medium", id="nothing known"),
    ],
)
def test_severity_by_cause(data: dict[str, Any], cause: str, severity: str) -> None:
    """The error code and the retryable flag tell the cause, the cause tells the severity."""
    (alert,) = decide(KIND, data).alerts

    assert (alert.labels["cause"], alert.labels["severity"]) == (cause, severity)


def test_every_cause_has_a_verdict() -> None:
    """No code leads to a cause without a severity and a sentence."""
    assert set(VERDICTS) == set(Cause)
    assert set(CAUSE_OF.values()) <= set(Cause)
    assert set(Policy().ingestion.severities) == set(Cause)


def test_one_alert_for_one_trouble() -> None:
    """Documents, attempts and messages differ; instance, stage and code make the alert."""
    one, *_ = decide(KIND, SAMPLES[KIND], instance_id=INSTANCE).alerts
    other, *_ = decide(
        KIND,
        {**SAMPLES[KIND], "document_id": "doc_2", "attempt": 9, "error_message": "page 4"},
        instance_id=INSTANCE,
        event_id="evt_2",
    ).alerts

    assert one.fingerprint == other.fingerprint
    assert one.labels == {
        "alertname": "SynapIngestionFailed",
        "severity": "medium",
        "event_type": KIND,
        "instance_id": INSTANCE,
        "endpoint": "default",
        "cause": "permanent",
        "stage": "extraction",
        "error_code": "PARSE_ERROR",
    }


def test_it_ends_after_a_quiet_time() -> None:
    """The end is assumed: a quarter of an hour without a report, told at most 2 min later."""
    decision = decide(KIND, at=NOW - 60)
    (alert,), (note,) = decision.alerts, decision.notes

    assert (alert.ends_at, alert.timeout) == (NOW + 1020, True)
    assert (note.name, note.args[3]) == ("ingestion_failure", NOW + 900)


def test_the_sentence() -> None:
    """The description names the document, what Synap said, and what to do."""
    (alert,) = decide(KIND, SAMPLES[KIND], instance_id=INSTANCE).alerts

    assert alert.annotations["summary"] == (
        f"Ingestion fails on {INSTANCE}: permanent error (PARSE_ERROR) in stage extraction"
    )
    assert alert.annotations["description"] == (
        "Document doc_1 (pdf) was not ingested on attempt 3. Synap says: unreadable page 3. "
        "Why it matters: Trying again will not help: this content stays missing from memory "
        "until it is mended. "
        "What to do: Read the error, mend the document or the request, and ingest it again."
    )
    assert alert.annotations["document_id"] == "doc_1"
    assert "user_id" not in alert.annotations


def test_severity_by_the_teams_table() -> None:
    """The configuration says how much each cause matters, and how long it stays."""
    severities = dict.fromkeys(Cause, Severity.INFO)
    policy = Policy(ingestion=Ingestion(severities=severities, quiet=60))

    (alert,) = decide_by(policy, KIND, {"error_code": "401"}).alerts

    assert (alert.labels["severity"], alert.ends_at) == ("info", NOW + 180)


def test_a_failure_may_be_one_of_many() -> None:
    """Each failure carries the alert that goes out if it makes a burst of its instance."""
    policy = Policy(ingestion=Ingestion(burst=7, window=600, burst_severity=Severity.HIGH))
    burst = decide_by(policy, KIND, SAMPLES[KIND]).burst

    assert burst
    assert (burst.least, burst.window, burst.event_key) == (7, 600, event_of(KIND).key)
    (alert,) = burst.alerts()
    assert alert.labels == {
        "alertname": "SynapIngestionBurst",
        "severity": "high",
        "event_type": KIND,
        "instance_id": "unknown",
        "endpoint": "default",
    }
    assert alert.annotations["summary"] == (
        "Ingestion fails in bulk on unknown: 7 or more within 10 min"
    )
    assert (
        "the latest: permanent error (PARSE_ERROR) in stage extraction"
        in (alert.annotations["description"])
    )
    assert (alert.ends_at, alert.timeout) == (NOW + 900, True)


def test_bursts_are_of_one_instance() -> None:
    """Failures of two instances, or of two endpoints, are never counted together."""
    kinds = {
        burst.of
        for instance in ("inst_1", "inst_2")
        if (burst := decide(KIND, instance_id=instance).burst)
    }

    assert len(kinds) == 2
