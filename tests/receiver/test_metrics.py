"""Metrics: there from the first scrape, with labels from closed sets."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from receiver.batch import Submission
from receiver.errors import Flaw, Offence, Refusal, Shortage
from receiver.intake import CommitReport
from receiver.metrics import ANSWERS, LEVELS, Distribution, Metrics
from receiver.watch import Level
from receiver.web.app import commit_observer

SUBMISSION = Submission(None, b"x", "default", "key-1", 0.0, Flaw.NOT_JSON)


def test_every_reason_has_a_status() -> None:
    """A request can end in each outcome, refusal, offence and shortage, and in a fault of ours."""
    ends = {*Refusal, *Offence, *Shortage, "accepted", "duplicate", "quarantined", "internal_error"}

    assert set(ANSWERS) == ends
    assert set(LEVELS) == {level.value for level in Level}


def test_series_exist_from_the_start() -> None:
    """Zeroes are there before anything happened, so that a first increase is seen."""
    metrics = Metrics(CollectorRegistry())
    metrics.set_keys({"default": ["key-1"], "billing": ["a", "b"]})

    text = generate_latest(metrics.registry).decode()

    for line in (
        'synap_hooks_requests_answered_total{reason="signature_mismatch",status="401"} 0.0',
        'synap_hooks_requests_verified_total{endpoint="billing",key="b"} 0.0',
        'synap_hooks_events_accepted_total{type="unknown"} 0.0',
        'synap_hooks_events_quarantined_total{reason="stale"} 0.0',
        'synap_hooks_commit_failures_total{reason="commit_timeout"} 0.0',
        'synap_hooks_durability{level="unproven"} 1.0',
        'synap_hooks_keys_loaded{endpoint="billing"} 2.0',
        "synap_hooks_key_reload_failures_total 0.0",
    ):
        assert line in text


def test_keys_that_went_are_not_counted_as_loaded() -> None:
    """An endpoint that is gone leaves the gauge."""
    metrics = Metrics(CollectorRegistry())
    metrics.set_keys({"default": ["a"], "billing": ["b"]})

    metrics.set_keys({"default": ["a"]})

    assert metrics.registry.get_sample_value(
        "synap_hooks_keys_loaded", {"endpoint": "billing"}
    ) is None  # fmt: skip


def test_distribution() -> None:
    """A batch of observations gives a histogram like any other; bounds are inclusive."""
    registry = CollectorRegistry()
    distribution = Distribution("d", "text", (1.0, 2.0), registry)

    distribution.observe([0.5, 1.0, 1.5])
    distribution.observe([9.0])

    text = generate_latest(registry).decode().splitlines()
    assert text[2:] == [
        'd_bucket{le="1.0"} 2.0',
        'd_bucket{le="2.0"} 3.0',
        'd_bucket{le="+Inf"} 4.0',
        "d_count 4.0",
        "d_sum 12.0",
    ]


@pytest.mark.parametrize(
    ("shortage", "failures"),
    [
        pytest.param(None, 0.0, id="committed"),
        pytest.param(Shortage.COMMIT_TIMEOUT, 1.0, id="failed"),
    ],
)
def test_commits(shortage: Shortage | None, failures: float) -> None:
    """Each commit is measured; one after which nothing was acknowledged is counted by reason."""
    metrics = Metrics(CollectorRegistry())

    commit_observer(metrics)(CommitReport(3, shortage, 0.004))

    sample = metrics.registry.get_sample_value
    assert sample("synap_hooks_commit_events_sum") == 3
    assert sample("synap_hooks_commit_duration_seconds_bucket", {"le": "0.005"}) == 1
    assert sample("synap_hooks_commit_failures_total", {"reason": "commit_timeout"}) == failures
