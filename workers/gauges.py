"""The metrics that live in Redis, read when they are scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from receiver.broker import QUEUES
from receiver.errors import Flaw
from receiver.event import KINDS
from workers.metrics import COUNTERS, GAUGES, REDIS_UP, RETENTION, FromRedis, Snapshot

CACHED_SECONDS: Final = 2.0

_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "type": KINDS,
    "endpoint": (),
    "queue": QUEUES,
    "reason": tuple(Flaw),
    "count": RETENTION,
}


class StoreCollector(Collector):
    """Reads the ledger's numbers at most once in `CACHED_SECONDS`, however often it is scraped.

    While Redis is away it yields `synap_hooks_redis_up 0` and no family that would be a guess.
    """

    def __init__(self, take: Callable[[float], Snapshot], clock: Callable[[], float]) -> None:
        self._take = take
        self._clock = clock
        self._taken_at = float("-inf")
        self._snapshot: Snapshot | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that is read from Redis."""
        snapshot = self._current()
        up = float(snapshot is not None)
        yield GaugeMetricFamily(REDIS_UP.name, REDIS_UP.documentation, value=up)
        if snapshot is None:
            return
        for gauge in GAUGES:
            yield _filled(GaugeMetricFamily, gauge, snapshot)
        for counter in COUNTERS:
            yield _filled(CounterMetricFamily, counter, snapshot)

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read Redis."""
        return []

    def _current(self) -> Snapshot | None:
        now = self._clock()
        if now - self._taken_at >= CACHED_SECONDS:
            try:
                self._snapshot = self._take(now)
            except RedisError:
                self._snapshot = None
            self._taken_at = now
        return self._snapshot


def _filled(
    family: type[GaugeMetricFamily | CounterMetricFamily], metric: FromRedis, snapshot: Snapshot
) -> Metric:
    filled = family(metric.name, metric.documentation, labels=[metric.label])
    found: Mapping[str, float] = getattr(snapshot, metric.attribute)
    for value in dict.fromkeys((*_VALUES[metric.label], *found)):
        filled.add_metric([value], found.get(value, 0))
    return filled
