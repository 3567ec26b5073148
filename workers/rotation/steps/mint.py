"""Making the new key: by the issuer, or waiting for the person who makes it."""

from __future__ import annotations

from typing import Final

from workers.rotation.config import Manual
from workers.rotation.errors import Reason
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.pace import key_deadline
from workers.rotation.ports import Found, Issuer
from workers.rotation.record import Rotation
from workers.rotation.state import Outcome
from workers.rotation.verify import well_formed
from workers.rotation.work import Result, Work, ended, failed, more, ok, wait

MOST_KEYS: Final = 4
"""How many keys are made before somebody has to look why none of them can be stored."""

LOOK_SECONDS: Final = 3_600.0
LABELS_SECONDS: Final = 60.0


def key_name(rotation: Rotation) -> str:
    """Return the name under which the issuer knows the new key: the sweep finds it by this."""
    return f"{rotation.credential}-rot-{rotation.short}"


def mint(work: Work) -> Result:
    """Make the key: first look whether a lost worker has made one, whose value is gone.

    Such a key is revoked before another is made, so that there are never three. An attempt is
    noted before it is made, with its own idempotency key and the keys that it makes useless: an
    issuer would repeat the answer that named a key which is revoked by now.
    """
    issuer = work.credential.issuer
    if isinstance(issuer, Manual):
        return ended(Outcome.NO_ISSUER).but(new="", key_id="")
    noted = _note(issuer, work)
    if noted is not None:
        return noted
    revoke_found(issuer, work)
    name = key_name(work.rotation)
    issued = issuer.issue(name, work.rotation.token("mint", str(work.rotation.mint)))
    if not well_formed(issued.value):
        return failed(Reason.WRONG_SHAPE, "the issuer's answer holds no key")
    fingerprint = work.world.fingerprint(issued.value)
    if fingerprint == work.rotation.old:
        return failed(Reason.SAME_KEY, "the issuer answered with the old key")
    work.hand.value = issued.value
    return ok(f"made as {name}", new=fingerprint, key_id=issued.key_id)


def _note(issuer: Issuer, work: Work) -> Result | None:
    """Note that a key will be made, and which ones are useless; None when that is noted."""
    rotation = work.rotation
    made, useless = rotation.mint, [key.key_id for key in _found(issuer, work)]
    if rotation.key_id:
        useless.append(rotation.key_id)
    if made and set(useless) <= set(rotation.useless):
        return None
    if made >= MOST_KEYS:
        reason = Reason(rotation.reason or Reason.KEY_LOST)
        return failed(reason, f"{made} keys were made, and none could be stored")
    known = tuple(dict.fromkeys((*rotation.useless, *useless)))
    return more("a key will be made", mint=made + 1, useless=known, new="", key_id="")


def revoke_found(issuer: Issuer, work: Work) -> None:
    """Revoke every key that this rotation made and cannot use."""
    for key in _found(issuer, work):
        issuer.revoke(key.key_id, work.rotation.token("unmint", key.key_id))


def _found(issuer: Issuer, work: Work) -> list[Found]:
    rotation = work.rotation
    return [key for key in issuer.find(key_name(rotation)) if key.key_id != rotation.old_key_id]


def await_key(work: Work) -> Result:
    """Wait for a person: the key comes through `synap-hooks rotation submit`.

    A new signing key needs no submitting: the first delivery that is signed with it shows that
    it is mounted here and in use at Synap.
    """
    rotation = work.rotation
    if work.now >= key_deadline(rotation.entered_at, rotation.expires_at):
        return ended(Outcome.SPENT, Reason.NO_KEY_IN_TIME, "no new key came in time")
    if work.credential.type != WEBHOOK_SECRET:
        return wait(detail="waits for the new key", after=LOOK_SECONDS)
    used = work.world.uses(work.credential.endpoint)
    fresh = {label: at for label, at in used.items() if label not in rotation.labels}
    if fresh:
        label = max(fresh, key=lambda name: fresh[name])
        detail = f"a delivery signed with {label} has arrived"
        return ended(Outcome.SEEN, detail=detail, new_label=label, verified_at=work.now)
    return wait(detail="waits for a delivery signed with a new key", after=LABELS_SECONDS)
