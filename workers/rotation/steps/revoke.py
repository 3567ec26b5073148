"""Taking the old key back: through the open gate, at once when it leaked, or by a person."""

from __future__ import annotations

from typing import Final

from workers.rotation.config import Manual
from workers.rotation.errors import Reason
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.ports import Dead, Issuer, Phase, Side
from workers.rotation.state import Outcome
from workers.rotation.steps import watch
from workers.rotation.steps.follow import follow
from workers.rotation.steps.keys import lives, whoami_new, whoami_old
from workers.rotation.steps.roll import onward, status
from workers.rotation.steps.watch import NEW_STRIKES, OLD_STRIKES
from workers.rotation.work import (
    REVOKED_BY_HAND,
    Result,
    Work,
    ended,
    failed,
    more,
    ok,
    retry,
    strike,
    unstruck,
    wait,
)

LOOK_AGAIN: Final = 60.0
COPY_SECONDS: Final = 60.0
"""How long a leaked key lives on so that copies can follow: what restarts before would be lost."""

_SHUTS: Final = (Reason.NOT_NOW, Reason.FROZEN, Reason.INCIDENT)


def break_glass(work: Work) -> Result:
    """Open the way to revoke at once: the new key must live, unless an outage was accepted.

    Workloads that were not restarted yet are restarted now, all at once.
    """
    if work.rotation.outage_accepted:
        return _hurry(work) or ok("glass broken, outage accepted", glass=True)
    if lives(whoami_new(work)):
        return ok("glass broken: no overlap, no gate", glass=True)
    return retry(Reason.NEW_KEY_DEAD, "the new key is not proven to live")


def _hurry(work: Work) -> Result | None:
    """Begin and start every wave that was not; None once all are."""
    since, late = work.now - work.rotation.entered_at, follow(work, Side.NEW)
    if late is not None and since < COPY_SECONDS:
        return late
    waves, rollout = work.rotation.waves, work.credential.rollout
    if work.rotation.begun < len(waves):
        work.hand.begun = "all"
        return more("every remaining wave begins", begun=len(waves))
    for number, members in enumerate(waves if rollout else ()):
        assert rollout is not None
        phase = status(work, onward(work, number)).phase
        if phase is Phase.ABSENT or (phase is Phase.UNKNOWN and work.hand.begun == "all"):
            rollout.start(members, work.stamp("roll"))
    return None


def revoke(work: Work) -> Result:
    """Revoke the old key, or watch until a person has; the gate is judged once more before it."""
    if work.credential.type == WEBHOOK_SECRET:
        return _by_hand(work, "take the old signing key away here and revoke it at Synap")
    verdict = whoami_old(work)
    if isinstance(verdict, Dead):
        return ok("the old key is refused", revoked_at=work.now, awaits="")
    if not work.rotation.glass:
        judged = watch.judge(work)
        if judged.outcome is not Outcome.OK:
            return _shut(judged)
    issuer, key_id = work.credential.issuer, work.rotation.old_key_id
    if isinstance(issuer, Manual) or not key_id:
        return _by_hand(work, "a person has to revoke the old key", watched=verdict is not None)
    return _by_issuer(work, issuer, key_id)


def _by_issuer(work: Work, issuer: Issuer, key_id: str) -> Result:
    rotation = work.rotation
    if key_id == rotation.key_id:
        return failed(Reason.SAME_KEY, "the issuer gave the new key the old one's id")
    issuer.revoke(key_id, rotation.token("revoke", key_id))
    return ok("revoked by the issuer", revoked_at=work.now)


def _shut(judged: Result) -> Result:
    """Go back behind the gate when it is shut; what is merely unclear is asked again."""
    if judged.outcome is Outcome.WAIT and judged.reason not in _SHUTS:
        return judged
    if judged.outcome is Outcome.WAIT:
        return ended(Outcome.SHUT, judged.reason, judged.detail)
    return judged


def _by_hand(work: Work, detail: str, *, watched: bool = False) -> Result:
    """Wait for a person; where the effect cannot be seen, that person has to say so."""
    if REVOKED_BY_HAND in work.rotation.approvals and not watched:
        return ok("a person says that it is revoked", revoked_at=work.now, awaits="")
    return wait(detail=detail).but(awaits=REVOKED_BY_HAND)


def confirm(work: Work) -> Result:
    """See the old key refused twice, a minute apart, while the new one lives."""
    if work.credential.type == WEBHOOK_SECRET:
        return ok("whoami does not know signing keys")
    if not (work.rotation.glass and work.rotation.outage_accepted):
        new = whoami_new(work)
        if isinstance(new, Dead):
            dead = ended(Outcome.NEW_DEAD, Reason.NEW_KEY_DEAD, "401 for the new key, repeatedly")
            return strike(work, "new", NEW_STRIKES, dead, detail="401 for the new key")
        if not lives(new):
            return wait(detail="whoami of the new key gives no answer", after=LOOK_AGAIN)
    old = whoami_old(work)
    if old is None:
        return ok("revoked; no store keeps the old key, so whoami cannot be asked for it")
    if not isinstance(old, Dead):
        return wait(Reason.NOT_NOW, "the old key is still answered", after=LOOK_AGAIN).but(
            **unstruck(work)
        )
    done = ok("401 for the old key, twice")
    return strike(work, "old", OLD_STRIKES, done, detail="401 for the old key", reason="")


def clean(work: Work) -> Result:
    """Remove what the rotation left in the stores."""
    for store in work.credential.stores:
        store.clean_up(work.pair, work.rotation.token("clean", store.name))
    return ok("cleaned up")
