"""The ledger in numbers, and the law that they must obey.

accepted + released = done + dead + discarded + in flight, for each kind. Accepted, released,
done and discarded are counters that move with the transition; dead and in flight are the sizes
of their indexes. What the law misses, and indexed events without a record, is `unaccounted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from redis import Redis
from rq import Queue

from receiver.broker import QUEUES, Keys
from receiver.event import KINDS
from workers.ledger.transitions import script
from workers.metrics import Snapshot

AUDIT_SLICE: Final = 2_000


class Books:
    """Reads the ledger's numbers; no cost of a read grows with the ledger's size."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._inspect = script(redis, "inspect.lua")

    def snapshot(self, now: float) -> Snapshot:
        """Read every number in one transaction; `now` is in Unix seconds."""
        keys = self._keys
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.counters)
            pipe.hgetall(self._missing)
            pipe.hgetall(keys.held)
            for queue in QUEUES:
                pipe.llen(f"{Queue.redis_queue_namespace_prefix}{queue}")
            for kind in KINDS:
                pipe.zcard(keys.dead(kind))
            for kind in KINDS:
                pipe.zcard(keys.inflight(kind))
            for kind in KINDS:
                pipe.zrange(keys.inflight(kind), 0, 0, withscores=True)
            counters, missing, held, *rest = pipe.execute()
        depths, rest = rest[: len(QUEUES)], rest[len(QUEUES) :]
        dead = dict(zip(KINDS, rest, strict=False))
        in_flight = dict(zip(KINDS, rest[len(KINDS) :], strict=False))
        heads = dict(zip(KINDS, rest[2 * len(KINDS) :], strict=True))
        moved = {state: _by(counters, state) for state in ("accepted", "released", "done")}
        discarded = _by(counters, "discarded")
        gone = _gone(missing)
        return Snapshot(
            queue_depth=dict(zip(QUEUES, depths, strict=True)),
            oldest_age={
                kind: max(0.0, now - float(head[0][1])) for kind, head in heads.items() if head
            },
            in_flight=in_flight,
            dead=dead,
            held=_by(held, "bodies"),
            accepted=moved["accepted"],
            done=moved["done"],
            discarded=discarded,
            released=moved["released"],
            quarantined=_by(counters, "quarantined"),
            retention=_by(counters, "retention"),
            unaccounted={
                kind: abs(
                    moved["accepted"].get(kind, 0)
                    + moved["released"].get(kind, 0)
                    - moved["done"].get(kind, 0)
                    - discarded.get(kind, 0)
                    - dead[kind]
                    - in_flight[kind]
                )
                + gone.get(kind, 0)
                for kind in KINDS
            },
        )

    def audit(self, now: float) -> int:  # noqa: ARG002  # every sweep takes the time
        """Compare the next slice of each index with its records; return how many are missing.

        The position is kept in Redis, so that any process may take the next slice.
        """
        indexes = {f"{kind}:inflight": self._keys.inflight(kind) for kind in KINDS}
        indexes |= {f"{kind}:dead": self._keys.dead(kind) for kind in KINDS}
        return sum(self._audit(field, index) for field, index in indexes.items())

    @property
    def _missing(self) -> str:
        return f"{self._keys.prefix}:audit-missing"

    def _audit(self, field: str, index: str) -> int:
        """Audit one slice; a pass that begins anew forgets what the pass before had found."""
        cursor_key = f"{self._keys.prefix}:audit-cursor"
        cursor = int(self._redis.hget(cursor_key, field) or 0)
        members = self._redis.zrange(index, cursor, cursor + AUDIT_SLICE - 1)
        rows = self._inspect(args=[self._keys.prefix, *members]) if members else []
        gone = sum(1 for row in rows if row[0] is None)
        before = 0 if cursor == 0 else int(self._redis.hget(self._missing, field) or 0)
        self._redis.hset(self._missing, field, before + gone)
        following = cursor + len(members) if len(members) == AUDIT_SLICE else 0
        self._redis.hset(cursor_key, field, following)
        return gone


def _by(fields: Mapping[bytes, bytes], name: str) -> dict[str, int]:
    """Return what a hash holds under `name:...`, by what follows."""
    pairs = ((field.decode().partition(":"), int(value)) for field, value in fields.items())
    return {label: value for (head, _, label), value in pairs if head == name}


def _gone(missing: Mapping[bytes, bytes]) -> dict[str, int]:
    total: dict[str, int] = {}
    for field, value in missing.items():
        kind = field.decode().rpartition(":")[0]
        total[kind] = total.get(kind, 0) + int(value)
    return total
