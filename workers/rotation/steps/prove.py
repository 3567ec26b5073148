"""Proving the new key: by what the stores give back, and by what the applications say of it."""

from __future__ import annotations

from typing import Final

from workers.rotation.config import OnFailure
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import shown
from workers.rotation.ports import Side
from workers.rotation.state import Outcome
from workers.rotation.steps.deposit import alive
from workers.rotation.steps.keys import old_value, ours, read_back
from workers.rotation.work import Result, Work, ended, hold, ok, retry

NAMED: Final = 3
"""How many instances a message names."""

_SAYS: Final = {Side.OLD: "the old key", Side.THIRD: "nothing"}


def verify(work: Work) -> Result:
    """Prove the new key with what the stores give back, and with the applications' own word."""
    checked = verified(work)
    if checked.outcome is Outcome.OK:
        return attested(work) or checked.but(verified_at=work.now)
    if checked.outcome is Outcome.NEW_DEAD and work.credential.on_failure is OnFailure.ROLLBACK:
        return ended(Outcome.ROLL_BACK, checked.reason, checked.detail)
    return checked


def verified(work: Work) -> Result:
    """Return OK when every store gives the new key and Synap knows it as ours."""
    value = read_back(work)
    if isinstance(value, Result):
        return value
    found = alive(work, value)
    if isinstance(found, Result):
        return found
    if not ours(work, found):
        return hold(Reason.OTHER_IDENTITY, "the new key belongs to another client or instance")
    return ok("the key that the stores give lives and is ours")


def attested(work: Work) -> Result | None:
    """Return None if every instance that runs says that it uses the new key, or none is asked."""
    if work.credential.witness is None:
        return None
    value = read_back(work)
    if isinstance(value, Result):
        return value
    old = old_value(work)
    said = work.credential.witness.ask(shown(value), shown(old) if old else "")
    late = {name: side for name, side in said.items() if side is not Side.NEW}
    if not late:
        return None
    some = ", ".join(f"{name} ({_SAYS[side]})" for name, side in sorted(late.items())[:NAMED])
    text = f"{len(late)} of {len(said)} instances do not show the new key: {some}"
    return retry(Reason.UNATTESTED, text)
