"""What a sweep does beside finding lost events: quarantine told and trimmed, memory watched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from redis import Redis

from receiver.broker import Keys, texts
from receiver.errors import Flaw
from workers.alert import Alert
from workers.consequences import RoutesAlerts
from workers.ledger.listing import Listing
from workers.ledger.operate import Operator
from workers.ledger.transitions import Ledger
from workers.self_alerts import check_the_clock, dead_letters_fill_memory, quarantined

QUARANTINE_SECONDS: Final = 30 * 86_400.0
MANY_MISDATED: Final = 20
MAX_TOLD: Final = 1_000
MAX_EXPIRED: Final = 500

_MISDATED: Final = frozenset({Flaw.STALE, Flaw.FUTURE})


class Housekeeping:
    """The service's own alerts and trims; all times are Unix seconds."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        ledger: Ledger,
        routing: RoutesAlerts,
        expirer: Operator,
        dead_memory_share: float,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._ledger = ledger
        self._routing = routing
        self._expirer = expirer
        self._dead_share = dead_memory_share
        self._listing = Listing(redis, keys)

    def run(self, now: float) -> int:
        """Raise what has to be known and trim what has expired; return how many alerts."""
        alerts: list[Alert] = []
        for endpoint in self._listing.quarantined_endpoints():
            self._expire(endpoint, now)
            alerts += self._newly_quarantined(endpoint, now)
        alerts += self._dead_memory(now)
        self._ledger.apply(self._routing.effects(alerts, now))
        return len(alerts)

    def _expire(self, endpoint: str, now: float) -> None:
        index = self._keys.quarantine(endpoint)
        before = now - QUARANTINE_SECONDS
        old = self._redis.zrangebyscore(index, "-inf", before, start=0, num=MAX_EXPIRED)
        if old:
            self._expirer.expire_quarantined(texts(old), now=now)

    def _newly_quarantined(self, endpoint: str, now: float) -> Sequence[Alert]:
        """Return one alert per reason for what came since the last look at this endpoint."""
        cursors = f"{self._keys.prefix}:quarantine-told"
        index = self._keys.quarantine(endpoint)
        told = float(self._redis.hget(cursors, endpoint) or 0)
        fresh: list[Any] = self._redis.zrangebyscore(
            index, f"({told}", "+inf", start=0, num=MAX_TOLD, withscores=True
        )
        if not fresh:
            return ()
        with self._redis.pipeline(transaction=False) as pipe:
            for key, _at in fresh:
                pipe.hget(self._keys.quarantined(key.decode()), "reason")
            reasons = [Flaw(reason.decode()) for reason in pipe.execute() if reason]
        self._redis.hset(cursors, endpoint, fresh[-1][1])
        counts = Counter(reasons)
        alerts = [quarantined(endpoint, reason, n, now=now) for reason, n in counts.items()]
        misdated = sum(n for reason, n in counts.items() if reason in _MISDATED)
        if misdated >= MANY_MISDATED:
            alerts.append(check_the_clock(endpoint, misdated, now=now))
        return alerts

    def _dead_memory(self, now: float) -> Sequence[Alert]:
        limit = int(self._redis.info("memory").get("maxmemory", 0))
        held = int(self._redis.hget(self._keys.counters, "dead_bytes") or 0)
        if not limit or held / limit <= self._dead_share:
            return ()
        return [dead_letters_fill_memory(held / limit, self._dead_share, now=now)]
