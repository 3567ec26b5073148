"""The new key on its way to the pending slots: checked first, and only then put anywhere."""

from __future__ import annotations

from typing import Final

from workers.rotation.config import Manual
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Dead, Live, Side
from workers.rotation.state import Outcome
from workers.rotation.verify import well_formed
from workers.rotation.work import Result, Work, ended, failed, hold, ok, retry

PROPAGATION_TRIES: Final = 6
"""How often a new key may be refused before it counts as dead: it takes time to be known."""

PROPAGATION_SECONDS: Final = 10.0


def preverify(work: Work) -> Result:
    """Ask Synap about the new key: it must live, and belong where the old one does."""
    value = new_value(work)
    if value is None:
        return lost(work)
    return judge(work, value, patient=True)


def judge(work: Work, value: Secret, *, patient: bool) -> Result:
    """Say whether a key may be the new one; a person's is asked for once, not `patient`."""
    if not well_formed(value):
        return failed(Reason.WRONG_SHAPE, "no API key: synap_ and about 60 letters and digits")
    if work.world.fingerprint(value) == work.rotation.old:
        return failed(Reason.SAME_KEY, "this is the key that is to be replaced")
    found = alive(work, value, tries=PROPAGATION_TRIES if patient else 0)
    if isinstance(found, Live):
        return _compare(work, found)
    return failed(Reason.FORBIDDEN, found.detail) if found.outcome is Outcome.HOLD else found


def alive(work: Work, value: Secret, *, tries: int = PROPAGATION_TRIES) -> Live | Result:
    """Return what Synap says of the new key if it lives, else what follows.

    A refused key is asked for again for a while: a fresh one takes time to be known.
    """
    verdict = work.verifier.whoami(value)
    if isinstance(verdict, Live):
        return verdict
    if isinstance(verdict, Dead):
        if work.rotation.attempt < tries:
            return retry(Reason.NEW_KEY_DEAD, "not known (yet)", after=PROPAGATION_SECONDS)
        return ended(Outcome.NEW_DEAD, Reason.NEW_KEY_DEAD, "Synap answers 401 for the new key")
    if verdict.final:
        return hold(Reason.FORBIDDEN, "Synap knows the new key but allows it nothing (403)")
    return retry(verdict.reason, "whoami of the new key", after=verdict.after)


def _compare(work: Work, live: Live) -> Result:
    """Compare the identity; without credits Synap may not tell it (402).

    A key that our own issuer made under our own name is then taken; one that a person pasted is
    not: it could be anybody's.
    """
    rotation = work.rotation
    if live.client_id == rotation.client_id and live.instance_id == rotation.instance_id:
        return ok("the new key lives and belongs to the same instance")
    if live.client_id or live.instance_id:
        return failed(Reason.OTHER_IDENTITY, "this key belongs to another client or instance")
    if not live.credits and not isinstance(work.credential.issuer, Manual):
        return ok("the new key lives; no credits, so Synap does not say whose it is")
    return failed(
        Reason.IDENTITY_UNPROVEN,
        "Synap does not say whose this key is" + ("" if live.credits else ": top up the credits"),
    )


def store_pending(work: Work) -> Result:
    """Put the new key into the pending slot of every store, and read it back."""
    value = new_value(work)
    if value is None:
        return lost(work)
    pair = work.pair
    for store in work.credential.stores:
        store.put_pending(value, pair, work.rotation.token("pending", store.name))
        found = store.read_pending()
        if found is None or pair.judge(found.value) is not Side.NEW:
            return retry(Reason.UNFAITHFUL, f"{store.name} does not give back what was put there")
    return ok(f"pending in {work.places}")


def new_value(work: Work) -> Secret | None:
    """Return the new key from this process, or from a slot that holds it; None if it is lost."""
    if work.hand.value is not None:
        return work.hand.value
    for store in work.credential.stores:
        for slot in (store.read_pending(), store.read_current()):
            if slot is not None and work.pair.judge(slot.value) is Side.NEW:
                return slot.value
    return None


def lost(work: Work) -> Result:
    """Return that the new key's value is nowhere: a worker ended while it held it."""
    reason = work.rotation.reason or Reason.KEY_LOST
    return ended(Outcome.LOST, reason, "the worker that held the new key is gone")
