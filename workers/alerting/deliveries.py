"""Deliveries under way, as Redis holds them; one script per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.commands.core import Script

from workers.alerting.buckets import FOLD_SECONDS
from workers.alerting.decision import Entry
from workers.alerting.durability import Durability
from workers.alerting.flush import Message
from workers.alerting.groups import LEASE
from workers.alerting.keys import room
from workers.alerting.notification import Notification
from workers.alerting.receivers import Integration
from workers.alerting.scripts import effect_args, plain, with_effects
from workers.alerting.store import address_args
from workers.ledger.transitions import Effect

MAX_ROWS: Final = 10_000
MAX_DEAD: Final = 1_000

FELL_BACK: Final = 2


class Attempt(NamedTuple):
    """A delivery under a lease, about to be tried for the `number`th time.

    `lost` says that an earlier attempt was begun and never came to an outcome, `told` what the
    log says on success, `entry` what it says now. `fold` says that the target takes no more
    calls for new trouble, `kept` that it was told before and its alerts are kept alive.
    """

    id: str
    fence: int
    number: int
    revision: int
    lost: bool
    gid: str
    target: str
    deadline: float
    notification: Notification
    told: Entry
    entry: Entry | None
    fold: bool
    kept: bool

    @property
    def before(self) -> Entry:
        """What the log says now; empty if nothing was ever told."""
        return self.entry or Entry()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended: `sent`, `keep`, `retry` at `next_at`, or `failed` for good.

    `entry` is the log from now on, None to leave it. `rest` is for how many seconds every
    delivery of the account is left alone, `kept_until` the deadline of what is kept alive.
    `instead` is told if the whole receiver failed, until `deadline`; `effects` follow in any case.
    """

    word: str
    next_at: float = 0.0
    kept_until: float = 0.0
    entry: Entry | None = None
    rest: float = 0.0
    instead: Sequence[Message] = ()
    deadline: float = 0.0
    effects: list[Effect] = field(default_factory=list)


class Deliveries:
    """Reads and writes deliveries; times are Unix seconds, an attempt may take `lease` seconds."""

    def __init__(
        self, redis: Redis, prefix: str, durability: Durability, *, lease: float = LEASE
    ) -> None:
        self._redis = redis
        self._lease = lease
        self._room = room(prefix)
        self._durability = durability
        self._claim = redis.register_script(plain("claim.lua"))
        self._settle = with_effects("settle.lua")

    def targets(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the targets of those deliveries that exist."""
        with self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hget(f"{self._room}delivery:{one}", "target")
            found = pipe.execute()
        return {one: name.decode() for one, name in zip(ids, found, strict=True) if name}

    def claim(self, delivery: str, integration: Integration | None, now: float) -> Attempt | None:
        """Begin an attempt; None if the delivery is gone, not due, held, or has to wait."""
        script, args = self.claiming(delivery, integration, now)
        return attempt_of(delivery, script(args=args))

    def claiming(
        self, delivery: str, integration: Integration | None, now: float
    ) -> tuple[Script, list[str | int | float]]:
        """Return the script that begins an attempt, to run with another; see `attempt_of`."""
        args: list[str | int | float] = [self._room, delivery, now, now + self._lease]
        if integration is None:
            return self._claim, [*args, "", 0, 0, 0]
        rate = integration.rate
        return self._claim, [*args, integration.bucket, rate.interval, rate.burst, FOLD_SECONDS]

    def entries(self, gid: str, targets: Sequence[str]) -> dict[str, Entry]:
        """Return what these targets were last told of a group, those that were told at all."""
        if not targets:
            return {}
        found: Any = self._redis.hmget(f"{self._room}log:{gid}", list(targets))
        return {
            target: Entry.from_wire(wire)
            for target, wire in zip(targets, found, strict=True)
            if wire
        }

    def settle(
        self,
        attempt: Attempt,
        outcome: Outcome,
        row: Mapping[str, str | float],
        now: float,
        integration: Integration | None,
    ) -> int:
        """End an attempt with its row in the ledger, as durably as is wanted.

        Returns:
            0 if the fence was lost, `FELL_BACK` if somebody else is told instead, else 1.
        """
        entry = outcome.entry.to_wire() if outcome.entry else ""
        receiver = attempt.target.rsplit("/", 2)[0]
        bucket = integration.bucket if integration else ""
        args: list[Any] = [self._room, attempt.id, attempt.fence, attempt.revision]
        args += [outcome.word, now, outcome.next_at, outcome.kept_until, entry]
        args += [bucket, int(outcome.rest * 1000), MAX_ROWS, MAX_DEAD, receiver, 2 * len(row)]
        args += [part for pair in row.items() for part in pair]
        args += [len(outcome.instead)]
        for message in outcome.instead:
            args += address_args(message, outcome.deadline)
        args += effect_args(outcome.effects)
        return int(self._durability.run(self._settle, args))


def attempt_of(delivery: str, row: Any) -> Attempt | None:
    """Return the attempt that a claim began; None if it began none."""
    if not row:
        return None
    fence, number, revision, lost, gid, target, deadline, wire, told, entry, fold, kept = row
    return Attempt(
        id=delivery,
        fence=fence,
        number=number,
        revision=int(revision),
        lost=bool(lost),
        gid=gid.decode(),
        target=target.decode(),
        deadline=float(deadline),
        notification=Notification.from_wire(wire),
        told=Entry.from_wire(told),
        entry=Entry.from_wire(entry) if entry else None,
        fold=bool(fold),
        kept=bool(kept),
    )
