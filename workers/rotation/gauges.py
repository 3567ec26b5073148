"""What rotation shows to Prometheus: read from Redis when it is scraped, for configured names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from workers.metrics import ROTATION_GAUGES, ROTATION_STATES
from workers.rotation.book import Book, Facts
from workers.rotation.config import RotationConfig
from workers.rotation.record import Rotation
from workers.rotation.state import State

CACHED_SECONDS: Final = 5.0

_BOTH_LIVE: Final = frozenset(
    {
        State.PROMOTED,
        State.RESTARTING,
        State.ROLLED_OUT,
        State.VERIFIED,
        State.OVERLAP,
        State.REVOKE_GATE,
        State.REVOKING,
        State.REVOKE_FAILED,
        State.BREAK_GLASS,
    }
)


class RotationCollector(Collector):
    """Reads each configured credential; yields nothing while Redis is away."""

    def __init__(
        self,
        book: Book,
        configuration: Callable[[], RotationConfig],
        clock: Callable[[], float],
    ) -> None:
        self._book = book
        self._configuration = configuration
        self._clock = clock
        self._read_at = float("-inf")
        self._rows: Sequence[tuple[str, Facts, Rotation | None]] = ()

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of every credential."""
        now = self._clock()
        try:
            rows = self._current(now)
        except RedisError:
            return
        families = {name: GaugeMetricFamily(name, text, labels=list(labels))
                    for name, text, labels in ROTATION_GAUGES}  # fmt: skip
        state, remaining, expiry, in_use = families.values()
        for credential, facts, rotation in rows:
            held = rotation.state if rotation else ""
            for one in ROTATION_STATES:
                state.add_metric([credential, one], float(one == held))
            left = rotation.revoke_at - now if rotation and rotation.revoke_at else 0.0
            remaining.add_metric([credential], max(0.0, left))
            expiry.add_metric([credential], facts.expires_at)
            in_use.add_metric([credential], float(held in _BOTH_LIVE))
        yield from families.values()

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read Redis."""
        return []

    def _current(self, now: float) -> Sequence[tuple[str, Facts, Rotation | None]]:
        if now - self._read_at >= CACHED_SECONDS:
            names = [one.name for one in self._configuration().credentials]
            self._rows = [(n, self._book.facts(n), self._book.active(n)) for n in names]
            self._read_at = now
        return self._rows
