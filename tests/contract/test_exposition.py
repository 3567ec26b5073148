"""What both admin ports expose is what Prometheus' own linter takes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from receiver.metrics import Metrics
from tests.promtool import needs_promtool, promtool
from workers.gauges import StoreCollector
from workers.metrics import Snapshot, SupervisorMetrics, WorkerMetrics


def without_created(registry: CollectorRegistry) -> CollectorRegistry:
    """Return what a registry exposes without the times of creation, as the processes do."""

    class Page(CollectorRegistry):
        def collect(self) -> Iterator[Metric]:
            for family in registry.collect():
                family.samples = [
                    one for one in family.samples if not one.name.endswith("_created")
                ]
                yield family

    return Page()


@needs_promtool
def test_receivers_metrics_are_clean() -> None:
    """`promtool check metrics` finds nothing in the receiver's exposition."""
    registry = CollectorRegistry()
    Metrics(registry).set_keys({"default": ["2026-11"]})

    assert (
        promtool("check", "metrics", given=generate_latest(without_created(registry)).decode())
        == ""
    )


@needs_promtool
def test_workers_metrics_are_clean() -> None:
    """`promtool check metrics` finds nothing in the workers' exposition."""
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    SupervisorMetrics(registry)
    registry.register(StoreCollector(lambda _: Snapshot(), lambda: 0.0))

    assert (
        promtool("check", "metrics", given=generate_latest(without_created(registry)).decode())
        == ""
    )
