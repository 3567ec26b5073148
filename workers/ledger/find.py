"""Finding records by the beginning of their key, as a person copies it from a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from redis import Redis

from receiver.broker import Keys
from receiver.event import KINDS

LEAST_PREFIX: Final = 8
MAX_FOUND: Final = 10
MAX_ROUNDS: Final = 500

_SCAN: Final = 1_000
_WHOLE: Final = 64
_HEX: Final = re.compile(rf"[0-9a-f]{{{LEAST_PREFIX},{_WHOLE}}}")


class Room(StrEnum):
    """Where to look for a key."""

    EVENTS = "events"
    QUARANTINE = "quarantine"


def find(redis: Redis, keys: Keys, prefix: str, room: Room) -> list[str]:
    """Return up to `MAX_FOUND` keys that begin with `prefix`.

    A whole key is looked up; a part of one is looked for in the indexes, in at most
    `MAX_ROUNDS` steps of about a thousand members. What is no beginning of a key finds nothing.
    """
    if not _HEX.fullmatch(prefix):
        return []
    if len(prefix) == _WHOLE:
        name = keys.event(prefix) if room is Room.EVENTS else keys.quarantined(prefix)
        return [prefix] if redis.exists(name) else []
    found: dict[str, None] = {}
    for member in _members(redis, _indexes(redis, keys, room), prefix):
        found[member] = None
        if len(found) == MAX_FOUND:
            break
    return list(found)


def _indexes(redis: Redis, keys: Keys, room: Room) -> Iterator[str]:
    if room is Room.EVENTS:
        yield from (keys.dead(kind) for kind in KINDS)
        yield from (keys.inflight(kind) for kind in KINDS)
        yield keys.done
        return
    for field in redis.hkeys(keys.held):
        kind, _, endpoint = _text(field).partition(":")
        if kind == "bodies":
            yield keys.quarantine(endpoint)


def _members(redis: Redis, indexes: Iterator[str], prefix: str) -> Iterator[str]:
    rounds = 0
    for index in indexes:
        cursor = -1
        while cursor != 0 and rounds < MAX_ROUNDS:
            rounds += 1
            start = max(cursor, 0)
            cursor, page = redis.zscan(index, start, match=f"{prefix}*", count=_SCAN)
            yield from (_text(member) for member, _score in page)


def _text(reply: Any) -> str:
    return str(reply, "utf-8")
