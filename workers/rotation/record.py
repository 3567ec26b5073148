"""One rotation as it stands in Redis: where it is and what it needs to know, never a secret."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid4, uuid5

import orjson

from workers.rotation.state import State

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "synap-hooks:rotation")
_SHORT: Final = 8
_LISTS: Final = ("useless", "later", "approvals", "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The record; all times are Unix seconds, `old` and `new` are fingerprints.

    `fence` counts the takeovers, `lease` is how long the present one holds, `lost` how many workers
    in a row died before they wrote anything. `waves` were asked for once; `wave` is the one that is
    being brought out, `begun` how many were begun; `back_*` say the same of the way back. `urgent`:
    no overlap; `glass`: no gate before the revocation. `mint` counts the keys that were made,
    `useless` names those whose value is gone. `strikes` counts answers in a row that say the same
    bad thing. `awaits` names what a person has to do or approve, `approvals` what was approved.
    `reason` and `detail` are the last step's, `cause` is why the rotation left its way. `labels`
    are the signing keys that were in use when a `webhook_secret` began; `told` holds the labels of
    the alerts that fire, by name. `tip` is the digest of the last line of history.
    """

    id: str
    credential: str
    state: State = State.PLANNED
    fence: int = 0
    lease: float = 0.0
    lost: int = 0
    attempt: int = 0
    created_at: float
    entered_at: float
    due_at: float
    trigger: str = "person"
    urgent: bool = False
    glass: bool = False
    outage_accepted: bool = False
    old_died: bool = False
    old: str = ""
    new: str = ""
    client_id: str = ""
    instance_id: str = ""
    mint: int = 0
    useless: tuple[str, ...] = ()
    key_id: str = ""
    old_key_id: str = ""
    waves: tuple[tuple[str, ...], ...] = ()
    wave: int = 0
    begun: int = 0
    rolled_at: float = 0.0
    later: tuple[str, ...] = ()
    back_at: float = 0.0
    back_wave: int = 0
    back_begun: int = 0
    promoted_at: float = 0.0
    verified_at: float = 0.0
    revoke_at: float = 0.0
    revoked_at: float = 0.0
    ended_at: float = 0.0
    strikes: int = 0
    struck_at: float = 0.0
    strike: str = ""
    approvals: tuple[str, ...] = ()
    awaits: str = ""
    back: State | None = None
    reason: str = ""
    detail: str = ""
    cause: str = ""
    labels: tuple[str, ...] = ()
    new_label: str = ""
    expires_at: float = 0.0
    told: Mapping[str, Mapping[str, str]]
    tip: str = ""

    @property
    def short(self) -> str:
        """The first digits of the id: enough for people and for a key's name."""
        return self.id[:_SHORT]

    def token(self, step: str, target: str = "") -> str:
        """Return the UUID that the same step at the same target always has."""
        return str(uuid5(_NAMESPACE, f"{self.id}:{step}:{target}"))

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_wire(cls, wire: bytes | str) -> Rotation:
        """Read the stored JSON form; fields of a newer release are ignored."""
        stored: dict[str, Any] = orjson.loads(wire)
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in stored.items() if name in known}
        # an empty list comes back from the scripts as an empty object
        waves = tuple(tuple(wave) for wave in kept.get("waves") or ())
        lists = {n: tuple(kept.get(n) or ()) for n in _LISTS}
        told = kept.get("told") or {}
        back = State(kept["back"]) if kept.get("back") else None
        state = State(kept["state"])
        return cls(**kept | lists | {"waves": waves, "told": told, "back": back, "state": state})


def plan(
    credential: str,
    *,
    now: float,
    trigger: str,
    urgent: bool = False,
    expires_at: float = 0.0,
) -> Rotation:
    """Return a rotation that is to begin now; nothing is written."""
    return Rotation(
        id=uuid4().hex,
        credential=credential,
        created_at=now,
        entered_at=now,
        due_at=now,
        trigger=trigger,
        urgent=urgent,
        expires_at=expires_at,
        told={},
    )


class Entry(NamedTuple):
    """One line of history; it never changes once it is written.

    `chain` is the digest of this line and the one before it, so that a line that was changed or
    taken out of the middle shows.
    """

    at: float
    actor: str
    source: str
    target: str
    outcome: str
    reason: str
    detail: str
    old: str
    new: str
    fence: int
    chain: str = ""

    def chained(self, tip: str) -> Entry:
        """Return the line bound to the one before it."""
        plain = orjson.dumps([tip, *self[:-1]])
        return self._replace(chain=hashlib.sha256(plain).hexdigest()[:32])

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        return orjson.dumps(self._asdict())

    @classmethod
    def from_wire(cls, wire: bytes) -> Entry:
        """Read the stored JSON form."""
        return cls(**orjson.loads(wire))


def unbroken(entries: list[Entry]) -> bool:
    """Say whether each line is bound to the one before it; the first may have lost its own."""
    return all(after.chained(before.chain) == after for before, after in pairwise(entries))


def stamped(rotation: Rotation, entry: Entry) -> tuple[Rotation, Entry]:
    """Return both with the chain carried on."""
    bound = entry.chained(rotation.tip)
    return replace(rotation, tip=bound.chain), bound
