"""Acknowledgements: somebody took a group's trouble on, for a time.

{P}:alerting:ack:{gid}   string with expiry: JSON of the acknowledgement, and when its group
                         was created, since a group that comes again is another trouble
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import orjson
from redis import Redis

from workers.alerting.keys import room
from workers.alerting.ports import Acknowledgement

KEPT_SECONDS: Final = 31 * 86_400
"""Seconds after which one that never lapses is forgotten."""


class AcknowledgementBook:
    """Reads and writes acknowledgements; times are Unix seconds."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._room = room(prefix)

    def of(self, gid: str, now: float) -> Acknowledgement | None:
        """Return what holds for a group at `now`."""
        return self.of_all([gid], now)[0]

    def of_all(self, gids: Sequence[str], now: float) -> list[Acknowledgement | None]:
        """Return what holds for each of these groups at `now`."""
        if not gids:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            for gid in gids:
                pipe.get(f"{self._room}ack:{gid}")
                pipe.hget(f"{self._room}group:{gid}", "created")
            replies = iter(pipe.execute())
        return [
            _holding(wire, created, now) for wire, created in zip(replies, replies, strict=True)
        ]

    def give(
        self, gid: str, *, author: str, until: float | None, now: float
    ) -> Acknowledgement | None:
        """Acknowledge a group until it is over, or until a moment; None if there is no group."""
        created: Any = self._redis.hget(f"{self._room}group:{gid}", "created")
        if created is None:
            return None
        given = Acknowledgement(uuid4().hex, author, now, until)
        stored = {**given._asdict(), "created": created.decode()}
        left = KEPT_SECONDS if until is None else max(1, int(until - now) + 1)
        self._redis.set(f"{self._room}ack:{gid}", orjson.dumps(stored), ex=left)
        return given

    def take_back(self, gid: str) -> bool:
        """End a group's acknowledgement; False if there was none."""
        return bool(self._redis.delete(f"{self._room}ack:{gid}"))


def _holding(wire: bytes | None, created: bytes | None, now: float) -> Acknowledgement | None:
    if wire is None or created is None:
        return None
    stored: dict[str, Any] = orjson.loads(wire)
    if stored.pop("created") != created.decode():
        return None
    found = Acknowledgement(**stored)
    return None if found.until is not None and found.until <= now else found
