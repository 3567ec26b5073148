"""The series that the service exposes, and those that a PromQL expression asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics import MetricWrapperBase

from receiver.metrics import Metrics
from workers.metrics import (
    COUNTERS,
    GAUGES,
    REDIS_UP,
    ROTATION_GAUGES,
    SupervisorMetrics,
    WorkerMetrics,
)

INTERNAL: Final = {"namespace", "app_kubernetes_io_instance", "job", "pod", "container", "le"}
"""Labels that scraping adds, and the one of histograms."""

_SELECTOR: Final = re.compile(r"\b((?:synap_hooks|container)[a-z_:]*)\{([^}]*)\}")
_BARE: Final = re.compile(r"\b(synap_hooks[a-z_:]*)(?![a-z_:{])")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_DISTRIBUTION: Final = ("_bucket", "_sum", "_count")


@cache
def declared() -> Mapping[str, set[str]]:
    """Return every series' name as it is exposed, with its labels."""
    registry = CollectorRegistry()
    made = (Metrics(registry), WorkerMetrics(registry), SupervisorMetrics(registry))
    labels = {
        wrapper._name: set(wrapper._labelnames)
        for holder in made
        for wrapper in vars(holder).values()
        if isinstance(wrapper, MetricWrapperBase)
    }
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for name in _exposed(family):
            found[name] = labels.get(family.name, set())
    found |= {gauge.name: {gauge.label} for gauge in GAUGES}
    found |= {f"{counter.name}_total": {counter.label} for counter in COUNTERS}
    found |= {gauge.name: set(gauge.labels) for gauge in ROTATION_GAUGES}
    return found | {REDIS_UP.name: set()}


def _exposed(family: Metric) -> Iterator[str]:
    if family.type == "histogram":
        yield from (f"{family.name}{suffix}" for suffix in _DISTRIBUTION)
    else:
        yield f"{family.name}_total" if family.type == "counter" else family.name


def names(expression: str) -> list[tuple[str, set[str]]]:
    """Return each series that an expression asks for, with the labels of its matchers.

    Raises:
        AssertionError: one of them is asked for without any matcher.
    """
    assert _BARE.findall(_SELECTOR.sub("", expression)) == []
    return [
        (name, set(_MATCHER.findall(matchers))) for name, matchers in _SELECTOR.findall(expression)
    ]
