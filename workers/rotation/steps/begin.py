"""Before a key is made: may it begin, whose key is it, what has to be restarted."""

from __future__ import annotations

from collections.abc import Sequence

from workers.rotation.errors import Reason
from workers.rotation.fingerprint import shown
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.ports import Dead, Live, Side, Slot, Unclear
from workers.rotation.state import Outcome
from workers.rotation.work import Result, Work, hold, ok, retry, wait


def plan(work: Work) -> Result:
    """Wait for the end of a freeze."""
    until = work.frozen_until()
    if until is not None:
        return wait(Reason.FROZEN, "a freeze holds", after=until - work.now, fresh=True)
    return ok()


def look(work: Work) -> Result:
    """Find out what is there: the old key, whose it is, and the workloads. Changes nothing."""
    credential = work.credential
    if credential.type == WEBHOOK_SECRET:
        used = work.world.uses(credential.endpoint)
        return ok(f"signing keys in use: {len(used)}", labels=tuple(sorted(used)))
    for store in credential.stores:
        store.check()
    slots = [store.read_current() for store in credential.stores]
    pending = [store.name for store in credential.stores if store.read_pending() is not None]
    old = _common(work, slots)
    if isinstance(old, Result):
        return old
    if pending:
        return hold(Reason.ANOTHER_KEY_WAITS, f"a key waits already in {', '.join(pending)}")
    fingerprint = work.world.fingerprint(old.value)
    found = _unready(work, old, fingerprint) or _identify(work, old)
    if found.outcome is not Outcome.OK:
        return found
    waves = credential.rollout.waves() if credential.rollout else ()
    return found.but(
        old=fingerprint,
        waves=tuple(tuple(wave) for wave in waves),
        old_key_id=_key_id(work, fingerprint),
    )


def _key_id(work: Work, fingerprint: str) -> str:
    """Return the old key's name at the issuer, if it is certain; else a person revokes it.

    A key that was replaced by hand since the last rotation has another name than that one's.
    """
    credential, facts = work.credential, work.facts
    if facts.key_id and facts.fingerprint == fingerprint:
        return facts.key_id
    return "" if facts.key_id else credential.key_id or credential.match.credential_id


def _unready(work: Work, old: Slot, fingerprint: str) -> Result | None:
    """Return what speaks against the configuration: copies and applications must have the key."""
    for copy in work.credential.copies:
        slot = copy.read()
        if slot is None or work.world.fingerprint(slot.value) != fingerprint:
            return hold(Reason.UNSYNCED, f"{copy.name} does not hold the key of the stores")
    if work.credential.witness is None:
        return None
    said = work.credential.witness.ask("", shown(old.value))
    if said and Side.OLD not in said.values():
        text = f"none of {len(said)} instances shows the current key: is the attestation right?"
        return hold(Reason.UNATTESTED, text)
    return None


def intend(work: Work) -> Result:
    """Go on: what is intended has been written down before anything is made."""
    return ok(f"waves: {len(work.rotation.waves)}")


def _common(work: Work, slots: Sequence[Slot | None]) -> Slot | Result:
    """Return the one value that all stores hold."""
    found = [slot for slot in slots if slot is not None]
    if not found or len(found) < len(slots):
        return hold(Reason.NOT_FOUND, "a store holds no key: put the live one there first")
    if len({work.world.fingerprint(slot.value) for slot in found}) > 1:
        return hold(Reason.THIRD_WRITER, "the stores hold different keys")
    return found[0]


def _identify(work: Work, old: Slot) -> Result:
    """Ask whose the old key is; a dead one cannot say, then what was known before counts."""
    verdict = work.verifier.whoami(old.value)
    if isinstance(verdict, Unclear):
        if verdict.final:
            return hold(Reason(verdict.reason), "Synap allows the current key nothing (403)")
        return retry(verdict.reason, "whoami of the old key", after=verdict.after)
    if isinstance(verdict, Dead):
        found = _known(work, "the old key is dead already: no overlap is possible")
        return found.but(urgent=True, old_died=True)
    if not (verdict.client_id and verdict.instance_id):
        return _known(work, "whoami does not say whose the old key is")
    return _expected(work, verdict)


def _expected(work: Work, live: Live) -> Result:
    credential = work.credential
    for wanted, found in (
        (credential.client_id, live.client_id),
        (credential.instance_id or credential.match.instance_id, live.instance_id),
    ):
        if wanted and wanted != found:
            return hold(Reason.OTHER_IDENTITY, "the current key belongs to another instance")
    return ok("the old key lives", client_id=live.client_id, instance_id=live.instance_id)


def _known(work: Work, detail: str) -> Result:
    """Take the identity from the configuration, the last rotation, or Synap's signed event."""
    credential, facts, rotation = work.credential, work.facts, work.rotation
    client_id = credential.client_id or facts.client_id or rotation.client_id
    instance_id = credential.instance_id or facts.instance_id or rotation.instance_id
    if not (client_id and instance_id):
        return hold(
            Reason.IDENTITY_UNPROVEN,
            f"{detail}, and nothing else says whose it is: set identity.client_id and instance_id",
        )
    return ok(detail, client_id=client_id, instance_id=instance_id)
