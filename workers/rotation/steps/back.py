"""The way back: the old key current again, and the new one taken back."""

from __future__ import annotations

from workers.rotation.config import Manual
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.ports import Dead, Phase, Side, Unclear
from workers.rotation.state import Outcome
from workers.rotation.steps import watch
from workers.rotation.steps.deposit import new_value
from workers.rotation.steps.follow import follow
from workers.rotation.steps.keys import whoami_old
from workers.rotation.steps.mint import revoke_found
from workers.rotation.steps.roll import Front, advance, status
from workers.rotation.work import (
    WITHDRAWN_BY_HAND,
    Result,
    Work,
    ended,
    hold,
    more,
    ok,
    retry,
    strike,
    wait,
)


def roll_back(work: Work) -> Result:
    """Make the old key current, restart what had been restarted, and see that it works."""
    if not work.rotation.back_at:
        return more("the way back begins", back_at=work.now)
    checked = _old_lives(work)
    if checked is not None:
        return checked
    restored = restore(work) or follow(work, Side.OLD)
    if restored is not None:
        return restored
    front = _front(work)
    if front.wave < len(front.waves):
        progress = status(work, front)
        if progress.phase is Phase.DONE:
            return more("a wave is back", fresh=True, back_wave=front.wave + 1)
        return advance(work, front, progress)
    return ok("the old key serves again")


def _old_lives(work: Work) -> Result | None:
    """Return None if the old key works; without that there is no way back."""
    verdict = whoami_old(work)
    if verdict is None:
        return hold(Reason.KEY_LOST, "no store keeps the old key any more")
    if isinstance(verdict, Dead):
        dead = ended(Outcome.OLD_DEAD, Reason.OLD_KEY_DEAD, "no way back: the old key is dead")
        return strike(work, "old", watch.OLD_STRIKES, dead, detail="401 for the old key")
    if isinstance(verdict, Unclear):
        return retry(verdict.reason, "whoami of the old key", after=verdict.after)
    return None


def restore(work: Work) -> Result | None:
    """Make the old value current in every store; None when all say that it is."""
    pair = work.pair
    for store in work.credential.stores:
        store.roll_back(pair, work.rotation.token("back", store.name))
        slot = store.read_current()
        if slot is None or pair.judge(slot.value) is not Side.OLD:
            return retry(Reason.UNFAITHFUL, f"{store.name} does not give the old key back")
    return None


def _front(work: Work) -> Front:
    """Return how far the way back is: only what was begun has to be restarted."""
    rotation = work.rotation
    waves = rotation.waves[: rotation.begun]
    return Front(step="back", wave=rotation.back_wave, begun=rotation.back_begun, waves=waves)


def compensate(work: Work) -> Result:
    """Undo what was made: the old value current, the new key revoked, the pending slot empty.

    The slot is emptied last: as long as the new key lies there, its end can be watched.
    """
    if work.credential.type == WEBHOOK_SECRET:
        return _over(work, "nothing of ours to undo")
    if not work.rotation.old:
        return _over(work, "nothing was made")
    if work.rotation.new:
        restored = restore(work) or follow(work, Side.OLD)
        if restored is not None:
            return restored
    left = _withdraw(work)
    if left is not None:
        return left
    for store in work.credential.stores:
        store.drop_pending(work.pair, work.rotation.token("drop", store.name))
    return _over(work, "the new key is gone")


def _over(work: Work, detail: str) -> Result:
    outcome = Outcome.BACK if work.rotation.back_at else Outcome.OK
    return ended(outcome, work.rotation.reason, detail, awaits="")


def _withdraw(work: Work) -> Result | None:
    """Take the new key back; None when it is gone or never was."""
    rotation, issuer = work.rotation, work.credential.issuer
    if not isinstance(issuer, Manual):
        revoke_found(issuer, work)
        if rotation.key_id and rotation.key_id != rotation.old_key_id:
            issuer.revoke(rotation.key_id, rotation.token("withdraw", rotation.key_id))
        return None
    if not rotation.new or WITHDRAWN_BY_HAND in rotation.approvals:
        return None
    return _watch_withdrawal(work, new_value(work))


def _watch_withdrawal(work: Work, value: Secret | None) -> Result | None:
    text = "a person has to revoke the new key, which nobody uses"
    if value is not None and isinstance(work.verifier.whoami(value), Dead):
        return None
    return wait(detail=text).but(awaits=WITHDRAWN_BY_HAND)
