"""Making the new key current in every store."""

from __future__ import annotations

from workers.rotation.errors import PermanentError, Reason, RefusedError, ThirdWriterError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Side, Store
from workers.rotation.state import Outcome
from workers.rotation.steps.deposit import alive, lost, new_value
from workers.rotation.work import PROMOTE, Result, Work, awaiting, ended, hold, ok, retry, wait


def promote(work: Work) -> Result:
    """Wait for approval and thaw, check the key once more, then promote store by store.

    Several stores: both keys are valid, so a promotion that stopped half-way goes on, and what
    cannot go on then waits for a person. Before the first store nothing has happened yet.
    """
    if work.unapproved(PROMOTE):
        return awaiting(PROMOTE, "the new key is ready; a person has to approve its promotion")
    until = work.frozen_until()
    if until is not None:
        return wait(Reason.FROZEN, "a freeze holds", after=until - work.now, fresh=True)
    value = new_value(work)
    if value is None:
        return lost(work)
    found = alive(work, value)
    if isinstance(found, Result):
        return found
    return _all(work, value)


def _all(work: Work, value: Secret) -> Result:
    for store in work.credential.stores:
        try:
            result = _one(work, store, value)
        except ThirdWriterError as error:
            return hold(Reason.THIRD_WRITER, str(error))
        except (PermanentError, RefusedError) as error:
            result = _stopped(work, error)
        if result is not None:
            return result
    return ok(f"current in {work.places}", promoted_at=work.now, awaits="")


def _one(work: Work, store: Store, value: Secret) -> Result | None:
    """Promote in one store; None when it holds the new key and says so."""
    rotation, pair = work.rotation, work.pair
    current = store.read_current()
    if current is None or pair.judge(current.value) is not Side.NEW:
        # a pending slot that was emptied by hand is filled again: the key is still known
        store.put_pending(value, pair, rotation.token("pending", store.name))
    store.promote(pair, rotation.token("promote", store.name))
    found = store.read_current()
    if found is None or pair.judge(found.value) is not Side.NEW:
        return retry(Reason.UNFAITHFUL, f"{store.name} does not give back what was promoted")
    return None


def _stopped(work: Work, error: PermanentError | RefusedError) -> Result:
    """Give up before anything was promoted; afterwards a person has to decide."""
    if any(_promoted(work, store) for store in work.credential.stores):
        return hold(Reason(error.reason), f"promoted in part: {error}")
    return ended(Outcome.FAILED, error.reason, str(error))


def _promoted(work: Work, store: Store) -> bool:
    slot = store.read_current()
    return slot is not None and work.pair.judge(slot.value) is Side.NEW
