"""Metrics, README and code say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from receiver.metrics import Metrics
from tests.contract.readme import first_column
from tests.servers import ROOT
from workers.metrics import (
    COUNTERS,
    GAUGES,
    PREFIX,
    REDIS_UP,
    ROTATION_GAUGES,
    SupervisorMetrics,
    WorkerMetrics,
)


def exposed(registry: CollectorRegistry) -> Iterator[str]:
    """Yield the names under which a registry's metrics are exposed."""
    for family in registry.collect():
        yield f"{family.name}_total" if family.type == "counter" else family.name


@pytest.fixture
def declared() -> list[str]:
    """Return every declared metric of both packages."""
    registry = CollectorRegistry()
    Metrics(registry)
    WorkerMetrics(registry)
    SupervisorMetrics(registry)
    read = [*(gauge.name for gauge in (*GAUGES, *ROTATION_GAUGES, REDIS_UP))]
    return [*exposed(registry), *read, *(f"{counter.name}_total" for counter in COUNTERS)]


def test_every_metric_is_documented_and_declared(declared: list[str]) -> None:
    """The README's table names exactly the metrics that the code declares, each once."""
    assert sorted(first_column("Metrics")) == sorted(declared)


def test_every_metric_is_ours(declared: list[str]) -> None:
    """Every name begins with the service's prefix."""
    assert [name for name in declared if not name.startswith(f"{PREFIX}_")] == []


def test_metrics_are_declared_in_one_place_per_package() -> None:
    """Only the metrics modules construct Prometheus metrics."""
    makers = {
        str(path.relative_to(ROOT))
        for package in ("receiver", "workers")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\b(Counter|Gauge|Histogram|Summary)\(\n", path.read_text())
    }

    assert makers <= {"receiver/metrics.py", "workers/metrics.py"}


def test_closed_labels_start_at_zero() -> None:
    """A scrape before the first request already shows every reason, type and outcome."""
    registry = CollectorRegistry()
    Metrics(registry)
    WorkerMetrics(registry)
    SupervisorMetrics(registry)

    empty = [family.name for family in registry.collect() if not family.samples]

    # the series of these two begin with the configured endpoints and keys
    assert empty == [f"{PREFIX}_requests_verified", f"{PREFIX}_keys_loaded"]
