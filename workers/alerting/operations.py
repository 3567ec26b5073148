"""What a person may do to groups and dead letters; each call is safe to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

from redis import Redis

from workers.alerting.config import DELIVERY_DEADLINE
from workers.alerting.keys import room
from workers.alerting.notification import Notification
from workers.alerting.scripts import plain

PAGE: Final = 100


class DeadLetter(NamedTuple):
    """A notification that was given up; times are Unix seconds.

    `id` names it, `target` is `receiver/type/place`, `title` what it said.
    """

    id: str
    gid: str
    target: str
    died_at: float
    attempts: int
    status: str
    title: str
    group_key: str


class Replay(StrEnum):
    """What became of the wish to try a dead letter once more."""

    REPLAYED = "replayed"
    GONE = "gone"
    SUPERSEDED = "superseded"
    """Newer news of the same group is on its way to the same target."""
    OVER = "over"
    """Its group has ended: an incident opened now would stay open."""


class Operations:
    """Groups and dead letters, for the command line; times are Unix seconds."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._room = room(prefix)
        self._poke = redis.register_script(plain("poke.lua"))
        self._replay = redis.register_script(plain("replay.lua"))

    def poke(self, gid: str, now: float) -> bool:
        """Have a group flushed by the next tick; False if there is none."""
        return bool(self._poke(args=[self._room, gid, now]))

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield every dead letter, the newest first."""
        names: list[Any] = self._redis.zrevrange(f"{self._room}dead", 0, -1)
        for at in range(0, len(names), PAGE):
            some = [name.decode() for name in names[at : at + PAGE]]
            with self._redis.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.hgetall(f"{self._room}dead:{name}")
                rows = pipe.execute()
            yield from (_letter(name, row) for name, row in zip(some, rows, strict=True) if row)

    def replay(
        self, letter: str, now: float, *, patience: float = DELIVERY_DEADLINE, force: bool = False
    ) -> Replay:
        """Have a dead letter tried once more.

        Args:
            letter: its id.
            now: Unix seconds.
            patience: seconds for which it is tried.
            force: whether to do so although its group has ended.
        """
        delivery = letter.partition(":")[0]
        args: list[Any] = [self._room, delivery, letter, now, now + patience, int(force)]
        answer: bytes = self._replay(args=args)
        return Replay(answer.decode())


def _letter(name: str, row: dict[bytes, bytes]) -> DeadLetter:
    notification = Notification.from_wire(row[b"notification"])
    return DeadLetter(
        id=name,
        gid=row[b"group"].decode(),
        target=row[b"target"].decode(),
        died_at=float(row[b"died_at"]),
        attempts=int(row.get(b"attempts", 0)),
        status=notification.status,
        title=notification.title,
        group_key=notification.group_key,
    )
