"""Reading alerts, groups and deliveries for people; nothing here writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis

from receiver.broker import texts
from workers.alert import Alert
from workers.alerting.decision import Entry
from workers.alerting.keys import room
from workers.alerting.notification import Notification
from workers.alerting.store import held
from workers.severity import Severity

PAGE: Final = 200
MAX_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group as it stands; times are Unix seconds, `told` is by target (`receiver/type/place`)."""

    gid: str
    key: str
    slot: str
    receiver: str
    created: float
    flushes: int
    next_at: float
    told: Mapping[str, Entry]


class AlertRow(NamedTuple):
    """An alert in one of its groups."""

    alert: Alert
    group: GroupRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery under way, or one that failed for good; times are Unix seconds.

    `id` is that of the delivery, or of the dead letter. `leased_until` is None unless it is being
    tried, `died_at` None unless it failed for good, and then `reason` is that of its last attempt.
    """

    id: str
    gid: str
    target: str
    group_key: str
    title: str
    status: str
    why: str
    attempts: int
    created: float
    next_at: float
    deadline: float
    leased_until: float | None
    died_at: float | None
    reason: str

    @property
    def state(self) -> str:
        """`dead`, `trying`, or `waiting` for its next attempt."""
        if self.died_at is not None:
            return "dead"
        return "waiting" if self.leased_until is None else "trying"


class AlertListing:
    """Bounded reads of alerting's room."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._room = room(prefix)

    def alerts(self) -> Iterator[AlertRow]:
        """Yield each alert in each of its groups, by the time of the groups' next flush."""
        due: Any = self._redis.zrange(f"{self._room}due", 0, MAX_ROWS - 1, withscores=True)
        for at in range(0, len(due), PAGE):
            yield from self._page([(gid.decode(), score) for gid, score in due[at : at + PAGE]])

    def critical(self, instance_id: str, now: float) -> list[Alert]:
        """Return the critical alerts that fire for an instance at `now` (Unix seconds)."""
        wanted = {"instance_id": instance_id, "severity": Severity.CRITICAL.value}
        return [
            row.alert
            for row in self.alerts()
            if wanted.items() <= row.alert.labels.items()
            and (row.alert.ends_at is None or row.alert.ends_at > now)
        ]

    def group(self, gid: str) -> list[AlertRow]:
        """Return the alerts of one group; none if it is not there."""
        score = self._redis.zscore(f"{self._room}due", gid)
        return [] if score is None else list(self._page([(gid, score)]))

    def told(self, gid: str) -> dict[str, Entry]:
        """Return what each target was last told of a group, also if the group is gone."""
        log: Any = self._redis.hgetall(f"{self._room}log:{gid}")
        return {target.decode(): Entry.from_wire(wire) for target, wire in log.items()}

    def deliveries(self) -> list[DeliveryRow]:
        """Return the deliveries that are under way, the next to be tried first."""
        due: Any = self._redis.zrange(f"{self._room}deliveries", 0, MAX_ROWS - 1)
        return self._deliveries("delivery:", texts(due))

    def dead(self) -> list[DeliveryRow]:
        """Return the deliveries that failed for good, the last one first."""
        letters: Any = self._redis.zrevrange(f"{self._room}dead", 0, MAX_ROWS - 1)
        return self._deliveries("dead:", texts(letters))

    def attempts(self, gids: Collection[str] | None = None) -> list[dict[str, str]]:
        """Return the ledger's rows of attempts, of these groups or of all, oldest first."""
        rows: Any = self._redis.xrevrange(f"{self._room}attempts", count=MAX_ROWS)
        found = [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in reversed(rows)
        ]
        return [row for row in found if gids is None or row["group"] in gids]

    def _deliveries(self, kind: str, names: Sequence[str]) -> list[DeliveryRow]:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(f"{self._room}{kind}{name}")
            rows = pipe.execute()
        last = {(row["group"], row["target"]): row["reason"] for row in self.attempts()}
        return [_delivery(name, row, last) for name, row in zip(names, rows, strict=True) if row]

    def _page(self, due: Sequence[tuple[str, float]]) -> Iterator[AlertRow]:
        with self._redis.pipeline(transaction=False) as pipe:
            for gid, _ in due:
                pipe.hgetall(f"{self._room}group:{gid}")
                pipe.hgetall(f"{self._room}alerts:{gid}")
                pipe.hgetall(f"{self._room}log:{gid}")
            replies = iter(pipe.execute())
        for (gid, score), meta, alerts, log in zip(due, replies, replies, replies, strict=False):
            if meta:
                group = _group(gid, score, meta, log)
                yield from (AlertRow(held(value).alert, group) for value in alerts.values())


def _group(
    gid: str, next_at: float, meta: Mapping[bytes, bytes], log: Mapping[bytes, bytes]
) -> GroupRow:
    return GroupRow(
        gid=gid,
        key=meta[b"key"].decode(),
        slot=meta[b"slot"].decode(),
        receiver=orjson.loads(meta[b"options"])["receiver"],
        created=float(meta[b"created"]),
        flushes=int(meta.get(b"flushes", 0)),
        next_at=next_at,
        told={target.decode(): Entry.from_wire(wire) for target, wire in log.items()},
    )


def _delivery(
    name: str, row: Mapping[bytes, bytes], last: Mapping[tuple[str, str], str]
) -> DeliveryRow:
    told = Notification.from_wire(row[b"notification"])
    gid, target = row[b"group"].decode(), row[b"target"].decode()
    lease, died = row.get(b"lease"), row.get(b"died_at")
    return DeliveryRow(
        id=name,
        gid=gid,
        target=target,
        group_key=told.group_key,
        title=told.title,
        status=told.status,
        why=told.why.value,
        attempts=int(row.get(b"attempts", 0)),
        created=float(row[b"created"]),
        next_at=float(row[b"next_at"]),
        deadline=float(row[b"deadline"]),
        leased_until=float(lease) if lease else None,
        died_at=float(died) if died else None,
        reason=last.get((gid, target), ""),
    )
