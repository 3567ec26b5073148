"""Every metric of the receiver, declared once and present from the first scrape.

Labels come from closed sets and from configured endpoints and key labels, never from what a
sender wrote.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from receiver.errors import Flaw, Offence, Refusal, Shortage
from receiver.event import KINDS

PREFIX: Final = "synap_hooks"

SECONDS: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

LEVELS: Final = ("replica", "fsync", "memory", "unproven")

ANSWERS: Final[Mapping[str, int]] = {
    "accepted": 202,
    "duplicate": 200,
    "quarantined": 202,
    **dict.fromkeys(Refusal, 401),
    Offence.BODY_TOO_LARGE: 413,
    Offence.BODY_TIMEOUT: 408,
    Offence.METHOD_NOT_ALLOWED: 405,
    Offence.NOT_FOUND: 404,
    Offence.DISCONNECTED: 499,
    **dict.fromkeys(Shortage, 503),
    "internal_error": 503,
}
"""The status of each reason with which a request can end; 499: nobody was left to answer."""


class Distribution(Collector):
    """A histogram that takes many observations at a time, for a few hundred ns each."""

    def __init__(
        self, name: str, text: str, bounds: tuple[float, ...], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, values: Iterable[float]) -> None:
        """Count each of `values`."""
        counts, bounds = self._counts, self._bounds
        total = 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self._sum += total

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the one family of this histogram."""
        edges = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        buckets = list(zip(edges, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._text, buckets=buckets, sum_value=self._sum)


class Metrics:
    """The receiver's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.answered = Counter(
            f"{PREFIX}_requests_answered",
            "Requests by the status and reason of their answer.",
            ["status", "reason"],
            registry=registry,
        )
        self.verified = Counter(
            f"{PREFIX}_requests_verified",
            "Requests whose signature held, by endpoint and label of the key that signed.",
            ["endpoint", "key"],
            registry=registry,
        )
        self.accepted = self._by_kind("events_accepted", "Events committed for the first time.")
        self.duplicates = self._by_kind("events_duplicate", "Events that were already committed.")
        self.quarantined = Counter(
            f"{PREFIX}_events_quarantined",
            "Authentic bodies that cannot be processed, by flaw.",
            ["reason"],
            registry=registry,
        )
        self.request_seconds = Distribution(
            f"{PREFIX}_request_duration_seconds",
            "From the headers' arrival to the answer.",
            SECONDS,
            registry,
        )
        self.commit_seconds = Distribution(
            f"{PREFIX}_commit_duration_seconds",
            "How long a commit took, its wait for durability included.",
            SECONDS,
            registry,
        )
        self.commit_events = Distribution(
            f"{PREFIX}_commit_events", "Submissions per commit.", SIZES, registry
        )
        self.commit_failures = self._failures()
        self._gauges(registry)
        self._prepare()

    def _by_kind(self, name: str, text: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, ["type"], registry=self.registry)

    def _failures(self) -> Counter:
        return Counter(
            f"{PREFIX}_commit_failures",
            "Commits after which nothing was acknowledged, by reason.",
            ["reason"],
            registry=self.registry,
        )

    def _gauges(self, registry: CollectorRegistry) -> None:
        self.durability = Gauge(
            f"{PREFIX}_durability",
            "1 for what an acknowledgement stands for now, 0 for the other levels.",
            ["level"],
            registry=registry,
        )
        self.shedding = Gauge(
            f"{PREFIX}_shedding",
            "1 while new events are refused to save old ones.",
            registry=registry,
        )
        self.keys_loaded = Gauge(
            f"{PREFIX}_keys_loaded", "Signing keys in use.", ["endpoint"], registry=registry
        )
        self.key_reload_failures = Counter(
            f"{PREFIX}_key_reload_failures",
            "Reads of the key files that failed; the last good keys stay in use.",
            registry=registry,
        )
        self.body_bytes_pending = Gauge(
            f"{PREFIX}_body_bytes_pending",
            "Bytes of bodies that are being received.",
            registry=registry,
        )

    def _prepare(self) -> None:
        for reason, status in ANSWERS.items():
            self.answered.labels(str(status), str(reason))
        for kind in KINDS:
            self.accepted.labels(kind)
            self.duplicates.labels(kind)
        for flaw in Flaw:
            self.quarantined.labels(flaw.value)
        for shortage in Shortage:
            self.commit_failures.labels(shortage.value)
        self.set_level("unproven")

    def set_level(self, level: str) -> None:
        """Say what an acknowledgement stands for now: one of `LEVELS`."""
        for known in LEVELS:
            self.durability.labels(known).set(known == level)

    def set_keys(self, loaded: Mapping[str, Iterable[str]]) -> None:
        """Declare the keys in use, by endpoint, so that each has its series from the start."""
        self.keys_loaded.clear()
        for endpoint, labels in loaded.items():
            names = list(labels)
            self.keys_loaded.labels(endpoint).set(len(names))
            for label in names:
                self.verified.labels(endpoint, label)
