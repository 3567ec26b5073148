"""A batch of submissions in the form that `accept.lua` takes.

At tens of thousands of events a second this is most of what a commit costs this process, so it
is one pass that formats text, and builds no object it can do without.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum
from secrets import token_hex
from typing import Any, Final, NamedTuple

from receiver.broker import (
    PROCESS_EVENTS,
    QUEUE_OF,
    Keys,
    job_fields,
    new_record,
    queues_key,
    script_args,
)
from receiver.errors import Flaw
from receiver.event import Event, body_digest, kind_of, moment, safe_key, to_wire

MAX_EVENTS: Final = 256
MAX_BYTES: Final = 4 * 1024 * 1024

LEAST_SHARE: Final = 16
"""Fewer submissions than that are never made into two commits."""

PEAK_KEPT: Final = 0.98
"""What a commit leaves of the largest number outstanding: half of it is forgotten in 35."""

QUARANTINE_RECORDS: Final = 10_000
QUARANTINE_BODIES: Final = 1_000
QUARANTINE_BYTES: Final = 64 * 1024 * 1024
QUARANTINE_EXCERPT: Final = 1_024


class Submission(NamedTuple):
    """A verified delivery; with a `flaw` it goes to quarantine, else `event` is present."""

    event: Event | None
    raw: bytes
    endpoint: str
    label: str
    received_at: float
    flaw: Flaw | None = None


class Outcome(StrEnum):
    """What became of a submission."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    CONFLICT = "conflict"


_ANSWERS: Final = (Outcome.QUARANTINED, Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT)


class _Lane(NamedTuple):
    """The events of a kind: their job's id and members, and their (time, key) for the index."""

    job_id: str
    members: list[str]
    scored: list[str]


class Share:
    """How many submissions a batch takes: half of the most that were outstanding lately.

    A closed loop of senders is then in two equal groups, of which one is committed while the
    other is answered, sends and is read.
    """

    def __init__(self) -> None:
        self._peak = 0.0
        self.size = LEAST_SHARE

    def see(self, outstanding: int) -> None:
        """Take note of how many submissions a commit left: its own and what waits."""
        self._peak = max(self._peak * PEAK_KEPT, outstanding)
        self.size = min(MAX_EVENTS, max(LEAST_SHARE, math.ceil(self._peak / 2)))


class Batch:
    """Submissions, each identity entered once, and the script's arguments for them.

    What an event costs is paid when it is entered, while the commit before is still under way.
    """

    def __init__(self, keys: Keys) -> None:
        self._prefix = keys.prefix
        self._record_key, self._body_key = keys.event(""), keys.body("")
        self._digests: dict[str, str] = {}
        self._events: list[Any] = []
        self._lanes: dict[str, _Lane] = {}
        self._jobs: dict[str, tuple[str, list[str]]] = {}
        self._rubbish: dict[str, Submission] = {}
        self._repeated: dict[int, Outcome] = {}
        self._uses: set[tuple[str, str]] = set()
        self._places: list[str] = []
        self.size = 0

    def __len__(self) -> int:
        """Return how many submissions were entered."""
        return len(self._places)

    def has_room(self, size: int, places: int) -> bool:
        """Say whether a body of that many bytes may join `places - 1` others; the first may."""
        taken = len(self._places)
        return not taken or (taken < places and self.size + size <= MAX_BYTES)

    def enter(self, item: Submission) -> None:
        """Take one more submission; `outcomes` speaks of them in the order of their coming."""
        self._places.append(self._enter(len(self._places), item))
        self.size += len(item.raw)

    def arguments(self, now: float) -> list[Any]:
        """Return the script's arguments; `now` in Unix seconds."""
        args: list[Any] = [self._prefix, moment(now), queues_key(), len(self._jobs)]
        for queue, (job_id, members) in self._jobs.items():
            args += script_args(job_fields(PROCESS_EVENTS, [members], queue=queue, job_id=job_id))
        args.append(len(self._digests))
        args += self._events
        args.append(len(self._lanes))
        for kind, lane in self._lanes.items():
            args += (kind, len(lane.scored) // 2, *lane.scored)
        args.append(len(self._rubbish))
        for key, item in self._rubbish.items():
            args += _describe_rubbish(key, item)
        repeats = sum(outcome is Outcome.DUPLICATE for outcome in self._repeated.values())
        uses = [f"{endpoint}/{label}" for endpoint, label in self._uses]
        args += (len(uses), *uses, repeats)
        args += (QUARANTINE_RECORDS, QUARANTINE_BODIES, QUARANTINE_BYTES, QUARANTINE_EXCERPT)
        return args

    def outcomes(self, answers: Sequence[int]) -> list[Outcome]:
        """Return what became of each submission, given the script's answers.

        What a batch holds twice is to its first what it would be in a batch of its own.
        """
        if not self._repeated and not self._rubbish:
            return [_ANSWERS[answer] for answer in answers]
        of_key = dict(zip(self._digests, (_ANSWERS[answer] for answer in answers), strict=True))
        found: list[Outcome] = []
        for at, key in enumerate(self._places):
            first = of_key.get(key, Outcome.QUARANTINED)
            repeated = self._repeated.get(at)
            if repeated is Outcome.CONFLICT or (repeated and first is Outcome.ACCEPTED):
                first = repeated
            found.append(first)
        return found

    def _enter(self, at: int, item: Submission) -> str:
        """Enter a submission unless its identity is here already; return its key, or nothing."""
        event, raw, endpoint, label, received_at, flaw = item
        self._uses.add((endpoint, label))
        if flaw is not None or event is None:
            self._rubbish.setdefault(quarantine_key(endpoint, raw), item)
            return ""
        key = safe_key(endpoint, event.id)
        digest = body_digest(raw)
        earlier = self._digests.get(key)
        if earlier is not None:
            same = earlier == digest
            self._repeated[at] = Outcome.DUPLICATE if same else Outcome.CONFLICT
            return key
        kind = kind_of(event.type)
        lane = self._lanes.get(kind) or self._open_lane(kind)
        arrival = moment(received_at)
        record = new_record(digest, kind, arrival, label, lane.job_id)
        wire = to_wire(raw, endpoint=endpoint, received_at=arrival)
        # From here on nothing fails: an event is entered whole or not at all.
        self._digests[key] = digest
        self._events += (self._record_key + key, record, self._body_key + key, wire)
        lane.members.append(key)
        lane.scored.extend((arrival, key))
        return key

    def _open_lane(self, kind: str) -> _Lane:
        """Make room for a kind; those of one queue share its job."""
        queue = QUEUE_OF[kind]
        if queue not in self._jobs:
            self._jobs[queue] = (f"batch-{token_hex(16)}", [])
        lane = self._lanes[kind] = _Lane(*self._jobs[queue], [])
        return lane


def quarantine_key(endpoint: str, raw: bytes) -> str:
    """Return the safe key of a quarantined body: the same body is kept once per endpoint."""
    return safe_key(endpoint, hashlib.sha256(raw).hexdigest())


def _describe_rubbish(key: str, item: Submission) -> tuple[Any, ...]:
    assert item.flaw is not None
    return (
        key,
        item.endpoint,
        item.flaw.value,
        hashlib.sha256(item.raw).digest(),
        moment(item.received_at),
        item.label,
        item.raw,
    )
