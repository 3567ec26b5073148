"""What a step is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from workers.alert import Alert
from workers.rotation.book import Facts
from workers.rotation.config import Credential, Mode
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import Fingerprint, Secret
from workers.rotation.freeze import thaw
from workers.rotation.ports import Pair, Stamp, Verifier
from workers.rotation.record import Rotation
from workers.rotation.state import Outcome

Uses: TypeAlias = Callable[[str], Mapping[str, float]]
"""Returns when each signing key of an endpoint was last used, by label (Unix seconds)."""

Incidents: TypeAlias = Callable[[str], Sequence[Alert]]
"""Returns the critical alerts that fire for an instance."""

PROMOTE: Final = "promote"
REVOKE: Final = "revoke"
REVOKED_BY_HAND: Final = "revoked"
WITHDRAWN_BY_HAND: Final = "withdrawn"
APPROVALS: Final = (PROMOTE, REVOKE, REVOKED_BY_HAND, WITHDRAWN_BY_HAND)
"""What a person can be asked for: two steps to allow, two facts that nothing else can tell."""

STRIKE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Hand:
    """What only this process knows, and forgets with it.

    `value` is the new key between its making and the pending slot. `begun` names the wave whose
    beginning was noted by this very process, so that its start cannot have happened yet.
    """

    value: Secret | None = None
    begun: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What every step of a machine stands on; `authority` is the time of Redis."""

    verifier: Verifier
    fingerprint: Fingerprint
    uses: Uses
    authority: Callable[[], float]
    incidents: Incidents


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One rotation, held by this process, at one moment (`now`, Unix seconds)."""

    rotation: Rotation
    credential: Credential
    world: World
    facts: Facts
    hand: Hand
    now: float

    @property
    def pair(self) -> Pair:
        """The two values between which the rotation moves."""
        return Pair(self.rotation.old, self.rotation.new, self.world.fingerprint)

    @property
    def places(self) -> str:
        """The names of the stores."""
        return ", ".join(store.name for store in self.credential.stores)

    @property
    def verifier(self) -> Verifier:
        """Who asks Synap about a key."""
        return self.world.verifier

    def stamp(self, step: str) -> Stamp:
        """Return what marks the restarts, onward or back."""
        rotation = self.rotation
        if step == "back":
            return Stamp(f"{rotation.id}-rb", rotation.back_at, rotation.token("back"))
        return Stamp(rotation.id, rotation.rolled_at, rotation.token("restart"))

    def frozen_until(self) -> float | None:
        """Return when a freeze ends that holds now; an urgent rotation knows none."""
        if self.rotation.urgent:
            return None
        free = thaw(self.credential.freezes, self.now)
        return free if free > self.now else None

    def unapproved(self, what: str) -> bool:
        """Say whether a person has to approve a step before it is done."""
        return self.credential.mode is Mode.APPROVE and what not in self.rotation.approvals


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a step ended.

    `changes` are fields of the record; `after` is in how many seconds to look again, if not as
    the state's pace says. `fresh`: the state's patience begins anew.
    """

    outcome: Outcome
    reason: str = ""
    detail: str = ""
    after: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False

    def but(self, **changes: Any) -> Result:
        """Return the same result with more fields of the record changed."""
        return replace(self, changes={**self.changes, **changes})


Step: TypeAlias = Callable[[Work], Result]


def ok(detail: str = "", **changes: Any) -> Result:
    """Return that the step is done."""
    return Result(outcome=Outcome.OK, detail=detail, changes=changes)


def more(detail: str = "", *, fresh: bool = False, **changes: Any) -> Result:
    """Return that something is to be noted before the same step goes on."""
    return Result(outcome=Outcome.MORE, detail=detail, changes=changes, fresh=fresh)


def wait(
    reason: str = "", detail: str = "", *, after: float | None = None, fresh: bool = False
) -> Result:
    """Return that nothing is wrong and that it is too early."""
    return Result(outcome=Outcome.WAIT, reason=reason, detail=detail, after=after, fresh=fresh)


def retry(reason: str, detail: str = "", *, after: float | None = None) -> Result:
    """Return that it failed and may succeed later."""
    return Result(outcome=Outcome.RETRY, reason=reason, detail=detail, after=after)


def failed(reason: Reason, detail: str = "") -> Result:
    """Return that it failed for good."""
    return Result(outcome=Outcome.FAILED, reason=reason, detail=detail)


def hold(reason: Reason, detail: str = "") -> Result:
    """Return that it must not go on without a person."""
    return Result(outcome=Outcome.HOLD, reason=reason, detail=detail)


def ended(outcome: Outcome, reason: str = "", detail: str = "", **changes: Any) -> Result:
    """Return any other end."""
    return Result(outcome=outcome, reason=reason, detail=detail, changes=changes)


def awaiting(what: str, detail: str) -> Result:
    """Return that a person has to approve or attest something first."""
    return Result(
        outcome=Outcome.WAIT,
        reason=Reason.APPROVAL,
        detail=detail,
        changes={"awaits": what},
        fresh=True,
    )


def strike(
    work: Work, what: str, most: int, then: Result, *, detail: str, reason: str = Reason.FLAPPING
) -> Result:
    """Count an answer that may be a mistake; after `most` in a row, a minute apart, return `then`.

    One bad answer of an API that flaps must neither stop a rotation nor move it on.
    """
    rotation = work.rotation
    running = rotation.strikes if rotation.strike == what else 0
    if running and work.now - rotation.struck_at < STRIKE_SECONDS:
        left = STRIKE_SECONDS - (work.now - rotation.struck_at)
        return wait(reason, detail, after=left)
    if running + 1 >= most:
        return then.but(strikes=0, strike="")
    counted = {"strikes": running + 1, "strike": what, "struck_at": work.now}
    return wait(reason, detail, after=STRIKE_SECONDS).but(**counted)


def unstruck(work: Work) -> Mapping[str, Any]:
    """Return the changes that forget counted answers, once a good one came."""
    return {"strikes": 0, "strike": ""} if work.rotation.strikes else {}
