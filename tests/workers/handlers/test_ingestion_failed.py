"""`ingestion.failed`: severities, identity, quiet time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import INSTANCE, NOW, SAMPLES
from tests.workers.handlers.events import decide
from workers.handlers import Severity
from workers.handlers.ingestion_failed import CAUSE_OF, VERDICTS, Cause

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
    assert all(verdict.severity in Severity for verdict in VERDICTS.values())


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
    """The end is assumed: a quarter of an hour without another report of it."""
    (alert,) = decide(KIND, at=NOW - 60).alerts

    assert (alert.ends_at, alert.timeout) == (NOW + 900, True)


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
