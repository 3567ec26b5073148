"""The overlap, and the gate before the revocation: judged at the moment, never in advance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from receiver.settings import HORIZON
from workers.rotation.errors import Reason
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.ports import Dead, Phase, Side, Unclear
from workers.rotation.state import Outcome
from workers.rotation.steps.follow import behind
from workers.rotation.steps.keys import ours, read_back, whoami_old
from workers.rotation.steps.prove import attested
from workers.rotation.steps.roll import onward, status
from workers.rotation.work import (
    REVOKE,
    Result,
    Work,
    awaiting,
    ended,
    hold,
    ok,
    retry,
    strike,
    unstruck,
    wait,
)

LOOK_SECONDS: Final = 3_600.0
SKEW_SECONDS: Final = 60.0
_OWN: Final = frozenset({"rotation", "credential.expiring"})
"""Event types of alerts about credentials: to revoke the old one is what ends them."""

NEW_STRIKES: Final = 3
OLD_STRIKES: Final = 2


def settle(work: Work) -> Result:
    """Begin the overlap; it counts from the verification, not from the promotion."""
    rotation = work.rotation
    if rotation.urgent:
        return ended(Outcome.SKIP, detail="urgent: no overlap")
    return ok("the overlap begins", revoke_at=rotation.verified_at + work.credential.overlap)


def overlap(work: Work) -> Result:
    """Look after both keys until the overlap is over."""
    if work.credential.type != WEBHOOK_SECRET:
        found = _both(work)
        if found.outcome is not Outcome.OK:
            return found
    left = work.rotation.revoke_at - work.now
    if left <= 0:
        return ok("the overlap is over").but(**unstruck(work))
    return wait(detail="both keys live", after=min(LOOK_SECONDS, left)).but(**unstruck(work))


def gate(work: Work) -> Result:
    """Hold the revocation until everything speaks for it, and a person approved it if asked."""
    found = judge(work)
    if found.outcome is not Outcome.OK:
        return found.but(awaits="")
    if work.unapproved(REVOKE):
        return awaiting(REVOKE, "everything speaks for it; a person has to approve the revocation")
    return ok("every check is green", awaits="").but(**unstruck(work))


def judge(work: Work) -> Result:
    """Return OK if the old key may be revoked at this moment, else what keeps it.

    WAIT: not now. NEW_DEAD, OLD_DEAD, HOLD: something has gone wrong.
    """
    late = _too_early(work)
    if late is not None:
        return late
    if work.credential.type == WEBHOOK_SECRET:
        return _unused(work)
    found = _both(work)
    if found.outcome is not Outcome.OK:
        return found
    for problem in _unfinished(work):
        return wait(Reason.NOT_NOW, problem)
    return ok("every check is green")


def _too_early(work: Work) -> Result | None:
    rotation = work.rotation
    skew = abs(work.now - work.world.authority())
    if skew > SKEW_SECONDS:
        text = f"this clock and that of Redis differ by {skew:.0f} s"
        return wait(Reason.CLOCK_SKEW, text)
    if work.now < rotation.revoke_at:
        return wait(detail="the overlap was extended", after=rotation.revoke_at - work.now)
    until = work.frozen_until()
    if until is not None:
        return wait(Reason.FROZEN, "a freeze holds", after=until - work.now)
    for alert in () if rotation.urgent else work.world.incidents(rotation.instance_id):
        if alert.labels.get("event_type") not in _OWN:
            return wait(Reason.INCIDENT, f"{alert.name} is critical for this instance")
    return None


def _both(work: Work) -> Result:
    """Ask for both keys: the new one has to live, the old one may be dead already."""
    value = read_back(work)
    if isinstance(value, Result):
        return _misread(work, value)
    new = work.verifier.whoami(value)
    if isinstance(new, Dead):
        dead = ended(
            Outcome.NEW_DEAD, Reason.NEW_KEY_DEAD, "Synap answers 401 for the new key, repeatedly"
        )
        return strike(work, "new", NEW_STRIKES, dead, detail="401 for the new key")
    if isinstance(new, Unclear):
        return wait(new.reason, "whoami of the new key", after=_asked(new))
    if not ours(work, new):
        return hold(Reason.OTHER_IDENTITY, "the new key belongs to another client or instance")
    if isinstance(whoami_old(work), Dead):
        gone = ended(Outcome.OLD_DEAD, Reason.OLD_KEY_DEAD, "the old key was revoked elsewhere")
        return strike(work, "old", OLD_STRIKES, gone, detail="401 for the old key")
    return ok("both keys live")


def _misread(work: Work, read: Result) -> Result:
    """Return what follows from a store that does not give the new key.

    Some stores answer with what was there before, for a while; a person who put the old key back
    does not go away.
    """
    if read.reason != Reason.UNFAITHFUL:
        return read
    again = hold(Reason.UNFAITHFUL, read.detail)
    return strike(work, "store", NEW_STRIKES, again, detail=read.detail)


def _asked(verdict: Unclear) -> float:
    return max(60.0, verdict.after or 0.0)


def _unfinished(work: Work) -> Iterator[str]:
    """Yield what may still use the old key, or bring it back: copies, workloads, instances."""
    for copy in behind(work, Side.NEW):
        yield f"{copy.name} does not hold the new key"
    for number in range(len(work.rotation.waves)):
        wave = onward(work, number)
        progress = status(work, wave)
        if progress.phase not in (Phase.DONE, Phase.UNKNOWN):
            yield f"{', '.join(wave.members)}: {progress.phase} {progress.detail}".strip()
    said = attested(work)
    if said is not None:
        yield said.detail


def quiet_since(work: Work) -> float:
    """Return when one of the old signing keys was last used; 0 if none ever was."""
    used = work.world.uses(work.credential.endpoint)
    return max((used.get(label, 0.0) for label in work.rotation.labels), default=0.0)


def _unused(work: Work) -> Result:
    """Say whether the old signing keys are safe to retire.

    What Synap signed with an old key may come again for as long as it retries.
    """
    last = quiet_since(work)
    if work.now - last <= HORIZON:
        text = "a delivery signed with an old key arrived within the sender's horizon"
        return wait(Reason.NOT_NOW, text, after=last + HORIZON - work.now + 1)
    used = work.world.uses(work.credential.endpoint)
    if used.get(work.rotation.new_label, 0.0) <= 0:
        return retry(Reason.NOT_NOW, "the new signing key is not in use any more")
    return ok("safe to retire: no old key was used for longer than the sender's horizon")
