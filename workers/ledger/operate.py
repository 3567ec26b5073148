"""What operators may do to events, each action with its line of history.

Every call is idempotent: what was acted on already, or changed meanwhile, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

from redis import Redis

from receiver.broker import QUEUE_OF, Keys, new_record, queues_key, script_args, texts
from receiver.errors import EventError
from receiver.event import Event, body_digest, moment, parse, safe_key, to_wire
from workers.ledger.listing import DEAD, DONE, IN_FLIGHT, EventRow, Listing, QuarantineRow
from workers.ledger.sweep import lone_job_id
from workers.ledger.transitions import Ledger, Seen, process_job, script

HISTORY_KEPT: Final = 10_000


class NotReleasableError(Exception):
    """A quarantined body that no handler could ever read; it can only be discarded."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: the body cannot be read ({reason}); it can only be discarded")
        self.key = key
        self.reason = reason


class Operator:
    """The actions of a person, who is named in the history."""

    def __init__(
        self, redis: Redis, keys: Keys, ledger: Ledger, *, actor: str, dedup_window: float
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._ledger = ledger
        self._actor = actor
        self._dedup = int(dedup_window)
        self._listing = Listing(redis, keys)
        self._script = script(redis, "operate.lua")

    def replay(self, keys: Sequence[str], *, now: float) -> list[str]:
        """Give events another life, each under a job of its own.

        Dead ones and those in flight run at once; settled ones run once more while their
        body lives (a day).
        """
        return [key for key in keys if self._replay(key, now)]

    def discard_dead(self, keys: Sequence[str], *, now: float) -> list[str]:
        """Give up dead letters for good; their bodies are deleted."""
        return self._act("discard-dead", [self._dedup, *keys], now)

    def discard_quarantined(self, keys: Sequence[str], *, now: float) -> list[str]:
        """Delete quarantined bodies."""
        return self._act("discard-quarantined", list(keys), now)

    def expire_quarantined(self, keys: Sequence[str], *, now: float) -> list[str]:
        """Delete quarantined bodies whose time is over; leaves no history."""
        return self._act("expire-quarantined", list(keys), now)

    def release(self, keys: Sequence[str], *, now: float) -> list[str]:
        """Accept quarantined bodies now, whatever their age; return the events' keys.

        A body that conflicts with a known identity becomes an event of its own.

        Raises:
            NotReleasableError: a body cannot be read as an event.
        """
        released: list[str] = []
        for key in keys:
            row = self._listing.quarantined(key)
            if row is not None:
                released += self._release(row, now)
        return released

    def note(self, action: str, subject: str, *, now: float, detail: str = "") -> None:
        """Leave a line of history for something done elsewhere."""
        self._act("note", [subject, action], now, detail=detail)

    def _replay(self, key: str, now: float) -> bool:
        row = self._listing.show(key)
        if row is not None and row.state == DONE:
            return self._replay_done(row, now)
        if row is None or row.state not in {DEAD, IN_FLIGHT}:
            return False
        job_id = lone_job_id(key, row.generation + 1)
        seen = Seen(key, row.state, row.job)
        moved = self._ledger.requeue([seen], queue=QUEUE_OF[row.kind], job_id=job_id, now=now)
        if moved:
            self.note("replay", key, now=now)
        return bool(moved)

    def _replay_done(self, row: EventRow, now: float) -> bool:
        queue = QUEUE_OF[row.kind]
        job = process_job([row.key], queue=queue, job_id=f"replay-{uuid4().hex}")
        return bool(self._act("replay-done", [row.key, queues_key(), *script_args(job)], now))

    def _release(self, row: QuarantineRow, now: float) -> list[str]:
        event = _readable(row)
        key = event.key
        if self._redis.exists(self._keys.event(key)):
            # The identity is taken by another body: this one gets an identity of its own.
            key = safe_key(row.endpoint, f"{event.id}\n{row.digest}")
        at = moment(now)
        wire = to_wire(row.body, endpoint=row.endpoint, received_at=at)
        job = process_job([key], queue=QUEUE_OF[event.kind], job_id=f"release-{uuid4().hex}")
        record = new_record(body_digest(row.body), event.kind, at, row.label, job.id)
        described: list[Any] = [row.key, key, record, wire]
        return self._act("release", [*described, queues_key(), *script_args(job)], now)

    def _act(self, action: str, args: list[Any], now: float, detail: str = "") -> list[str]:
        head: list[Any] = [self._keys.prefix, now, self._actor, action, HISTORY_KEPT, detail]
        return texts(self._script(args=[*head, *args]))


def _readable(row: QuarantineRow) -> Event:
    if not row.whole:
        raise NotReleasableError(row.key, "only its beginning was kept")
    try:
        return parse(row.body, endpoint=row.endpoint, received_at=row.at)
    except EventError as error:
        raise NotReleasableError(row.key, error.reason) from error
