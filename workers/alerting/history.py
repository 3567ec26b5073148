"""The history of alerts: what was decided about whom, and why; labels alone, no payload.

    {P}:alerting:history         stream: one entry for each decision, 14 days, at most 100 000
    {P}:alerting:labels          hash: fingerprint -> labels as JSON
    {P}:alerting:labels:seen     sorted set: fingerprint -> when it was last decided about
    {P}:alerting:decided:{gid}   hash with expiry: integration -> digest of its last decision

Labels stand once for each alert, however often it is decided about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from redis import Redis
from redis.exceptions import RedisError

from receiver.broker import texts
from workers.alerting.groups import lua
from workers.alerting.keys import room
from workers.alerting.ports import Decision, Record, Seen

KEPT_SECONDS: Final = 14 * 86_400.0
MAX_RECORDS: Final = 100_000
MAX_ALERTS: Final = 100
"""Alerts that one record names; the others are counted."""

PAGE: Final = 1_000

QUIET: Final = frozenset(
    {
        Decision.UNCHANGED,
        Decision.ACKNOWLEDGED,
        Decision.UNWANTED,
        Decision.FILTERED,
        Decision.MUTED,
    }
)
"""Decisions that say nothing new when they are made again."""

_log = structlog.get_logger("workers.alerting.history")


class AlertHistory:
    """Writes and reads decisions; `max_records` bounds decisions and labels, each."""

    def __init__(self, redis: Redis, prefix: str, *, max_records: int = MAX_RECORDS) -> None:
        self._redis = redis
        self._room = room(prefix)
        self._max = max_records
        self._script = redis.register_script(lua("history.lua"))

    def record(self, records: Sequence[Record]) -> None:
        """Keep these decisions in one write; a failure is logged and raised to nobody."""
        if not records:
            return
        now = max(record.at for record in records)
        args: list[Any] = [self._room, self._max, int((now - KEPT_SECONDS) * 1000), now]
        args += [int(KEPT_SECONDS), now - KEPT_SECONDS]
        labels = {
            seen.fingerprint: orjson.dumps(seen.labels)
            for record in records
            for seen in record.alerts
        }
        args += [len(labels), *(part for pair in labels.items() for part in pair)]
        for record in records:
            wire = encode(record)
            said = digest(record) if record.decision in QUIET else ""
            args += [record.gid, record.integration, said, int(record.at * 1000), wire]
        try:
            self._script(args=args)
        except RedisError as error:
            _log.warning("history.unwritten", error=type(error).__name__, records=len(records))

    def newest(self, *, since: float = 0.0) -> Iterator[Record]:
        """Yield decisions, newest first, back to `since` (Unix seconds)."""
        upper, lower = "+", str(int(since * 1000))
        while True:
            page: Any = self._redis.xrevrange(
                f"{self._room}history", max=upper, min=lower, count=PAGE
            )
            stored = [orjson.loads(fields[b"r"]) for _, fields in page]
            labels = self._labels({alert[0] for one in stored for alert in one["alerts"]})
            yield from (_decode(one, labels) for one in stored)
            if len(page) < PAGE:
                return
            upper = f"({page[-1][0].decode()}"

    def alerts(self, *, since: float = 0.0) -> dict[str, Mapping[str, str]]:
        """Return the labels of every alert that was decided about since then, by fingerprint."""
        seen = texts(self._redis.zrangebyscore(f"{self._room}labels:seen", since, "+inf"))
        return self._labels(set(seen))

    def labels(self, fingerprint: str) -> Mapping[str, str]:
        """Return the labels of an alert; none if it was never decided about."""
        return self._labels({fingerprint})[fingerprint]

    def named(self, beginning: str) -> list[str]:
        """Return up to ten fingerprints that begin like that."""
        matches = self._redis.hscan_iter(f"{self._room}labels", match=f"{beginning}*", count=PAGE)
        return [name.decode() for (name, _), _ in zip(matches, range(10), strict=False)]

    def _labels(self, fingerprints: set[str]) -> dict[str, Mapping[str, str]]:
        names = sorted(fingerprints)
        found: dict[str, Mapping[str, str]] = {}
        for at in range(0, len(names), PAGE):
            some = names[at : at + PAGE]
            for name, wire in zip(
                some, self._redis.hmget(f"{self._room}labels", some), strict=True
            ):
                found[name] = orjson.loads(wire) if wire else {}
        return found


def encode(record: Record) -> bytes:
    """Return the stored form of a decision, without its alerts' labels."""
    reasons = list(dict.fromkeys(seen.reason for seen in record.alerts))
    return orjson.dumps(
        {
            "at": record.at,
            "gid": record.gid,
            "group_key": record.group_key,
            "route": record.route,
            "receiver": record.receiver,
            "integration": record.integration,
            "decision": record.decision,
            "why": record.why,
            "reasons": record.reasons,
            "held_back_by": reasons,
            "alerts": [
                (seen.fingerprint, seen.starts_at, int(seen.resolved), reasons.index(seen.reason))
                for seen in record.alerts[:MAX_ALERTS]
            ],
            "more": max(0, len(record.alerts) - MAX_ALERTS),
        }
    )


def digest(record: Record) -> str:
    """Return what a decision says, whenever it was made: the same text for the same."""
    said = (record.decision, record.why, record.reasons, record.receiver)
    alerts = [(seen.fingerprint, seen.resolved, seen.reason) for seen in record.alerts]
    return hashlib.sha256(repr((said, alerts)).encode()).hexdigest()[:16]


def _decode(stored: dict[str, Any], labels: Mapping[str, Mapping[str, str]]) -> Record:
    held_back_by = stored["held_back_by"]
    return Record(
        at=stored["at"],
        gid=stored["gid"],
        group_key=stored["group_key"],
        route=stored["route"],
        receiver=stored["receiver"],
        integration=stored["integration"],
        decision=Decision(stored["decision"]),
        why=stored["why"],
        reasons=tuple(stored["reasons"]),
        alerts=tuple(
            Seen(name, labels.get(name, {}), starts, bool(resolved), held_back_by[place])
            for name, starts, resolved, place in stored["alerts"]
        ),
    )
