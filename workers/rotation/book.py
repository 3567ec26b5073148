"""The rotations in Redis: begun once, written by compare-and-set, handed on when they are due.

    {P}:rotation:record:{id}        string, JSON        {P}:rotation:history:{id}  list, bounded
    {P}:rotation:active:{name}      string, the id: one rotation per credential
    {P}:rotation:due                sorted set, id to Unix seconds
    {P}:rotation:all, ended         sorted sets, id to Unix seconds
    {P}:rotation:credential:{name}  hash: what is known of the credential
    {P}:rotation:incidents:{name}   hash: labels of the incidents that close with the rotation
    {P}:rotation:pepper             string

Every write is a compare-and-set on (state, fence) in Lua, together with its history, its next
deadline and the alerts that it causes. A worker that was overtaken writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Final

import orjson
from redis import Redis

from receiver.broker import (
    JOB_TIMEOUT,
    ROTATION,
    JobFields,
    job_fields,
    queues_key,
    script_args,
    texts,
)
from workers.ledger import transitions
from workers.ledger.transitions import Effect
from workers.rotation.errors import OvertakenError
from workers.rotation.record import Entry, Rotation
from workers.rotation.state import TERMINAL

ADVANCE_ROTATION: Final = "workers.jobs.advance_rotation"

LEASE_SECONDS: Final = JOB_TIMEOUT + 20.0
"""How long a worker holds a rotation after its last write: longer than its job may take."""

TAKEN_SECONDS: Final = 30.0
"""Seconds after which a rotation whose job was lost comes due again."""

HISTORY_LINES: Final = 400
KEPT_ENDED: Final = 500
KEPT_DURATIONS: Final = 20
MAX_DUE: Final = 64

_TIMES: Final[tuple[str, ...]] = ("seen_at", "rotated_at", "tried_at", "expires_at", "reported_at")
_WORDS: Final[tuple[str, ...]] = ("client_id", "instance_id", "key_id", "fingerprint", "warned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a credential beyond one rotation; times are Unix seconds, 0 is unknown.

    `tried_at` is when a rotation last ended without success; `durations` are the seconds that past
    rotations took from their start to `verified`.
    """

    seen_at: float = 0.0
    rotated_at: float = 0.0
    tried_at: float = 0.0
    expires_at: float = 0.0
    reported_at: float = 0.0
    client_id: str = ""
    instance_id: str = ""
    key_id: str = ""
    fingerprint: str = ""
    warned: str = ""
    durations: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What a write takes along beside the record."""

    entries: Sequence[Entry] = ()
    facts: Mapping[str, str | float] = field(default_factory=dict)
    over: Sequence[str] = ()
    effects: Sequence[Effect] = ()


class Book:
    """Reads and writes rotations; all times are Unix seconds.

    Args:
        redis: a client of its own.
        prefix: of every key.
        fragments: Lua texts that define the effects which a write may take along.
    """

    def __init__(self, redis: Redis, prefix: str, fragments: Iterable[str] = ()) -> None:
        self._redis = redis
        self._prefix = prefix
        self.room = f"{prefix}:rotation:"
        shared = (transitions.lua("record.lua"), transitions.lua("effects.lua"))
        self._save = redis.register_script("\n".join([*shared, *fragments, lua("save.lua")]))
        self._hand_on = redis.register_script(lua("due.lua"))

    def read(self, rotation_id: str) -> Rotation | None:
        """Return a rotation, or None."""
        held = self._redis.get(f"{self.room}record:{rotation_id}")
        return Rotation.from_wire(held) if held else None

    def active(self, credential: str) -> Rotation | None:
        """Return the rotation of a credential that has not ended, or None."""
        held: Any = self._redis.get(f"{self.room}active:{credential}")
        return self.read(held.decode()) if held else None

    def newest(self, limit: int) -> list[Rotation]:
        """Return rotations, the newest first."""
        ids = texts(self._redis.zrevrange(f"{self.room}all", 0, limit - 1))
        return [found for found in map(self.read, ids) if found is not None]

    def find(self, beginning: str) -> list[str]:
        """Return the ids that begin so; there are at most `KEPT_ENDED` and those under way."""
        ids = texts(self._redis.zrange(f"{self.room}all", 0, -1))
        return [found for found in ids if found.startswith(beginning)]

    def history(self, rotation_id: str) -> list[Entry]:
        """Return the lines of a rotation's history that are kept, the oldest first."""
        lines: list[Any] = self._redis.lrange(f"{self.room}history:{rotation_id}", 0, -1)
        return [Entry.from_wire(line) for line in lines]

    def facts(self, credential: str) -> Facts:
        """Return what is known of a credential."""
        held: dict[Any, Any] = self._redis.hgetall(f"{self.room}credential:{credential}")
        known: dict[str, Any] = {key.decode(): value.decode() for key, value in held.items()}
        kept = {name: known[name] for name in _WORDS if name in known}
        for name in _TIMES:
            kept[name] = float(known.get(name, 0))
        return Facts(**kept, durations=tuple(orjson.loads(known.get("durations", "[]"))))

    def note(self, credential: str, values: Mapping[str, str | float]) -> None:
        """Write facts of a credential that no rotation depends on."""
        flat = [part for pair in values.items() for part in pair]
        self._redis.hset(f"{self.room}credential:{credential}", items=flat)

    def see(self, credential: str, now: float) -> None:
        """Note when a credential was first known here: its cadence counts from then."""
        self._redis.hsetnx(f"{self.room}credential:{credential}", "seen_at", str(now))

    def incidents(self, credential: str) -> dict[str, Mapping[str, str]]:
        """Return the labels of the incidents that close with the rotation, by their field."""
        held = texts(self._redis.hkeys(f"{self.room}incidents:{credential}"))
        return {labels: orjson.loads(labels) for labels in held}

    def claim(self, rotation_id: str, now: float, *, early: bool = False) -> Rotation | None:
        """Take a rotation over for `LEASE_SECONDS`.

        None if it ended, somebody holds it, or it is not due; `early` takes it all the same.
        """
        found = self.read(rotation_id)
        if found is None or found.state in TERMINAL or found.lease > now:
            return None
        if found.due_at > now and not early:
            return None
        until = now + LEASE_SECONDS
        # whoever held it and let it go wrote so
        lost = found.lost + 1 if found.lease else found.lost
        held = replace(found, fence=found.fence + 1, lease=until, lost=lost)
        # a worker that dies leaves its rotation due at the end of its lease
        return held if self._write(found, held, until, now, Writing()) else None

    def save(self, before: Rotation, after: Rotation, writing: Writing, now: float) -> None:
        """Write a rotation that this worker holds.

        Raises:
            OvertakenError: it is held by another by now; nothing was written.
        """
        due = None if after.state in TERMINAL else max(after.due_at, after.lease)
        if not self._write(before, after, due, now, writing):
            raise OvertakenError

    def enqueue_due(self, now: float) -> int:
        """Push one job for each rotation that is due; return how many."""
        due: list[Any] = self._redis.zrangebyscore(
            f"{self.room}due", "-inf", now, start=0, num=MAX_DUE, withscores=True
        )
        if not due:
            return 0
        args: list[Any] = [f"{self.room}due", now + TAKEN_SECONDS, queues_key(), len(due)]
        for member, score in due:
            rotation_id = member.decode()
            args += [rotation_id, score, *script_args(_job(rotation_id, score))]
        return int(self._hand_on(args=args))

    def _write(
        self, before: Rotation, after: Rotation, due: float | None, now: float, writing: Writing
    ) -> bool:
        args: list[Any] = [self._prefix, self.room, before.id, before.state, before.fence]
        args += [after.to_wire(), "" if due is None else due, after.credential, now]
        args += [HISTORY_LINES, KEPT_ENDED]
        args += [len(writing.entries), *(entry.to_wire() for entry in writing.entries)]
        args.append(len(writing.facts))
        args += [part for pair in writing.facts.items() for part in pair]
        args += [len(writing.over), *writing.over, len(writing.effects)]
        for effect in writing.effects:
            args += [effect.name, len(effect.args), *effect.args]
        return bool(self._save(args=args))


def begin(
    prefix: str,
    rotation: Rotation,
    entry: Entry,
    *,
    reported_at: float,
    incident: Mapping[str, str] | None = None,
    starts: bool = True,
) -> Effect:
    """Return the write that begins a rotation, or notes the reason for one.

    Args:
        prefix: of every key.
        rotation: as it would begin; nothing of it is written if one is under way.
        entry: its first line of history.
        reported_at: when the reason arose (Unix seconds); one that is older than the end of the
            last rotation is over, and nothing is written.
        incident: the labels of the incident that the end of the rotation resolves.
        starts: False to note only when the credential expires and what closes with it.
    """
    labels = orjson.dumps(incident, option=orjson.OPT_SORT_KEYS).decode() if incident else ""
    return Effect(
        "rotate",
        (
            f"{prefix}:rotation:",
            rotation.credential,
            rotation.id,
            rotation.to_wire(),
            entry.to_wire(),
            rotation.created_at,
            int(starts),
            reported_at,
            labels,
            rotation.expires_at,
        ),
    )


def rotate_lua() -> str:
    """Return the fragment that defines the effect `rotate`."""
    return lua("rotate.lua")


def lua(name: str) -> str:
    """Return the text of one of rotation's scripts."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _job(rotation_id: str, due: float) -> JobFields:
    """Return the job of one deadline; its id is the same whichever tick makes it."""
    job_id = f"rotation-{rotation_id}-{int(due * 1000)}"
    return job_fields(ADVANCE_ROTATION, [rotation_id], queue=ROTATION, job_id=job_id)
