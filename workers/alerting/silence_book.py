"""Silences as Redis holds them: one bounded hash with a version, written by compare-and-set.

    {P}:alerting:silences   hash: id -> `Silence`'s JSON, and `version`, another text at each write

What is over stays for five days, so that a person can see what was silenced, and then goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from redis import Redis

from workers.alerting.groups import lua
from workers.alerting.keys import room
from workers.alerting.ports import Muting
from workers.alerting.silences import (
    MAX_DURATION,
    Silence,
    SilenceError,
    State,
    check,
    expired,
    read_or_none,
    updates_in_place,
)

KEPT_SECONDS: Final = 5 * 86_400.0
MAX_SILENCES: Final = 1_000
ATTEMPTS: Final = 10

_VERSION: Final = b"version"


class SilenceBook:
    """Reads and writes silences; times are Unix seconds, `max_duration` is in seconds."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        max_duration: float = MAX_DURATION,
        max_silences: int = MAX_SILENCES,
    ) -> None:
        self._redis = redis
        self._key = f"{room(prefix)}silences"
        self._max_duration = max_duration
        self._max_silences = max_silences
        self._script = redis.register_script(lua("silence.lua"))
        self._read: tuple[bytes, Mapping[str, Silence]] = (b"", {})

    def in_force(self, now: float) -> Muting:
        """Return what mutes at `now`: the id of the first silence that means an alert."""
        active = [one for one in self._held()[1].values() if one.state(now) is State.ACTIVE]
        active.sort(key=lambda one: (one.starts_at, one.id))

        def muting(labels: Mapping[str, str]) -> str | None:
            return next((one.id for one in active if one.mutes(labels)), None)

        return muting

    def all(self) -> list[Silence]:
        """Return every silence that is kept, those that end last first."""
        return sorted(self._held()[1].values(), key=lambda one: (-one.ends_at, one.id))

    def put(self, wanted: Silence, *, now: float) -> Silence:
        """Add a silence, or change the one whose id it has; return it as it is kept.

        A change of what already counted ends the old one and makes a new one with a new id.

        Raises:
            SilenceError: it cannot be, nobody goes by its id, or there are too many.
        """
        return self._write(lambda held: self._placed(wanted, held, now), now)

    def expire(self, silence_id: str, *, now: float) -> Silence:
        """End a silence; one that is over stays as it is.

        Raises:
            SilenceError: nobody goes by that id.
        """

        def change(held: Mapping[str, Silence]) -> list[Silence]:
            if silence_id not in held:
                raise SilenceError(f"no silence has the id {silence_id}")
            return [expired(held[silence_id], now=now)]

        return self._write(change, now)

    def _placed(self, wanted: Silence, held: Mapping[str, Silence], now: float) -> list[Silence]:
        """Return what is to be written for a silence, itself last."""
        before = held.get(wanted.id)
        if wanted.id and before is None:
            raise SilenceError(f"no silence has the id {wanted.id}")
        if before is not None and updates_in_place(before, wanted, now=now):
            kept = replace(wanted, updated_at=before.updated_at)
            check(kept, now=now, max_duration=self._max_duration)
            return [replace(kept, updated_at=now)]
        fresh = replace(
            wanted, id=str(uuid4()), starts_at=max(wanted.starts_at, now), updated_at=now
        )
        check(fresh, now=now, max_duration=self._max_duration)
        if len(held) - len(_stale(held, now)) >= self._max_silences:
            raise SilenceError(
                f"there are {self._max_silences} silences already; expire some of them"
            )
        return [fresh] if before is None else [expired(before, now=now), fresh]

    def _write(
        self, change: Callable[[Mapping[str, Silence]], Sequence[Silence]], now: float
    ) -> Silence:
        """Write what `change` makes of the silences as they are; again if somebody was faster."""
        for _ in range(ATTEMPTS):
            version, held = self._held()
            written = change(held)
            stale = _stale(held, now)
            args: list[str | bytes | int] = [self._key, version, uuid4().hex, len(stale), *stale]
            for one in written:
                args += [one.id, one.to_wire()]
            if self._script(args=args):
                return written[-1]
        raise SilenceError("others are changing silences at the same time; try again")

    def _held(self) -> tuple[bytes, Mapping[str, Silence]]:
        """Return the version and all silences; read again only when the version moved."""
        version = self._redis.hget(self._key, _VERSION) or b""
        if version == self._read[0]:
            return self._read
        fields: Mapping[Any, Any] = self._redis.hgetall(self._key)
        read = {
            name.decode(): silence
            for name, wire in fields.items()
            if name != _VERSION and (silence := read_or_none(wire)) is not None
        }
        self._read = (fields.get(_VERSION, b""), read)
        return self._read


def _stale(held: Mapping[str, Silence], now: float) -> list[str]:
    return [one.id for one in held.values() if one.ends_at < now - KEPT_SECONDS]
