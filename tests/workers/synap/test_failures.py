"""`ingestion.failed` through a whole worker: grouped, counted once, summed up when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from receiver.event import DEFAULT_ENDPOINT, safe_key
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.conftest import Serve
from tests.workers.synap.console import Console
from tests.workers.synap.service import Service
from workers.synap.failures import DOCUMENTS

FAILED = "SynapIngestionFailed"
BURST = "SynapIngestionBurst"
QUIET = 900.0


def failure(service: Service, number: int, **data: Any) -> dict[str, Any]:
    """Return the body of one failure of now."""
    given = {"document_id": f"doc_{number}", "error_code": "PARSE_ERROR", "stage": "extraction"}
    names = {"event_id": f"evt_{number}", "correlation_id": f"corr_{number}"}
    return service.sandbox.event("ingestion.failed", given | data, **names)


def test_a_summary_when_it_is_over(services: Serve) -> None:
    """After the quiet time the alert ends and says how many failed, when, which, and the traces."""
    service = services()
    service.deliver(*(failure(service, number) for number in range(3)))
    assert service.firing == {FAILED}

    service.tick(QUIET - 10)
    assert service.firing == {FAILED}
    service.tick(20)

    told = service.latest(FAILED)
    assert told.status == "resolved"
    assert told.notes["summary"] == (
        f"Ingestion no longer fails on {INSTANCE}: unclear error (PARSE_ERROR) in stage "
        "extraction (3 failures)"
    )
    assert "Over: 3 failures from 20" in told.notes["description"]
    assert "Documents: doc_0, doc_1, doc_2. " in told.notes["description"]
    assert "support: corr_0, corr_1, corr_2. " in told.notes["description"]
    assert service.redis.keys("synap:synap:fail*") == []


def test_a_failure_in_between_keeps_it_open(services: Serve) -> None:
    """Each failure moves the end; the summary speaks of all of them."""
    service = services()
    service.deliver(failure(service, 1))
    service.tick(QUIET - 100)
    service.deliver(failure(service, 2))

    service.tick(QUIET - 100)
    assert service.firing == {FAILED}
    service.tick(200)

    assert "Over: 2 failures from " in service.latest(FAILED).notes["description"]


def test_an_event_that_runs_twice_counts_once(services: Serve) -> None:
    """A replayed event adds nothing to the tally."""
    service = services()
    service.deliver(failure(service, 1), failure(service, 2))

    assert Console(service)("events", "replay", safe_key(DEFAULT_ENDPOINT, "evt_1")) == 0
    service.work()
    service.tick(QUIET + 10)

    assert "Over: 2 failures" in service.latest(FAILED).notes["description"]


def test_two_ticks_tell_it_once(services: Serve) -> None:
    """Whoever comes second finds nothing to tell."""
    service = services()
    service.deliver(failure(service, 1))
    service.sandbox.ahead += QUIET + 10
    sum_up = service.app.sources["failures"]

    assert (sum_up(service.now()), sum_up(service.now())) == (1, 0)


def test_a_long_list_is_a_sample(services: Serve) -> None:
    """Documents are listed up to a bound, and it is said that there are others."""
    service = services()
    service.deliver(*(failure(service, number) for number in range(DOCUMENTS + 5)))

    service.tick(QUIET + 10)

    described = service.latest(FAILED).notes["description"]
    assert f"Over: {DOCUMENTS + 5} failures" in described
    assert described.count("doc_") == DOCUMENTS
    assert ", and others. " in described


def test_the_cause_may_be_a_change(services: Serve) -> None:
    """A configuration that was applied within the hour before is named; an older one is not."""
    service = services()
    config_id = service.active({"storage": {"retention": {"default_ttl_days": 365}}}, by="eve")
    calls = len(service.sandbox.calls)
    service.tick(600)

    service.deliver(failure(service, 1))
    assert (
        f"Configuration {config_id} (v1) was applied by eve 10 min before it: it may be the cause."
        in service.latest(FAILED).notes["description"]
    )

    service.tick(3600)
    service.deliver(failure(service, 2, error_code="401"))
    assert "may be the cause" not in service.latest(FAILED).notes["description"]
    assert len(service.sandbox.calls) == calls


@pytest.mark.parametrize(
    ("config", "count", "bursts"),
    [
        pytest.param("", 19, False, id="19 are a few"),
        pytest.param("", 20, True, id="20 are a burst"),
        pytest.param(
            "events: {ingestion.failed: {documents: 400}}", 3, False, id="0.75 % are a few"
        ),
        pytest.param("events: {ingestion.failed: {documents: 400}}", 4, True, id="1 % are a burst"),
    ],
)
def test_the_burst_threshold(services: Serve, config: str, count: int, *, bursts: bool) -> None:
    """Twenty in five minutes are critical, or 1 % where it is known how many are usual."""
    service = services(config)

    service.deliver(*(failure(service, number) for number in range(count)))

    service.tick(1)
    assert (BURST in service.firing) is bursts


@pytest.mark.parametrize(
    ("code", "cause", "severity"),
    [
        pytest.param("402", "credits", "high", id="402"),
        pytest.param("trial_limit_reached", "credits", "high", id="trial"),
        pytest.param("overages_disabled", "credits", "high", id="overages"),
        pytest.param("403", "authentication", "critical", id="one dead key is critical"),
        pytest.param("503", "transient", "low", id="pipeline"),
    ],
)
def test_credits_and_keys_are_told_apart(
    services: Serve, code: str, cause: str, severity: str
) -> None:
    """An empty account and a refused key are other troubles than a pipeline's."""
    service = services()

    service.deliver(failure(service, 1, error_code=code))

    labels = service.latest(FAILED).labels
    assert (labels["cause"], labels["severity"]) == (cause, severity)


@pytest.mark.timeout(180)
def test_a_storm_asks_nothing(services: Serve) -> None:
    """Thousands of failures make no request, one alert of each kind, and an exact count."""
    several = 2_000
    service = services()
    service.active({"storage": {"retention": {"default_ttl_days": 365}}})
    calls = len(service.sandbox.calls)

    for at in range(0, several, 250):
        service.deliver(*(failure(service, number) for number in range(at, at + 250)))
    service.tick(1)
    assert service.firing >= {FAILED, BURST}
    service.tick(QUIET + 60)

    assert len(service.sandbox.calls) == calls
    assert f"Over: {several} failures" in service.latest(FAILED).notes["description"]
