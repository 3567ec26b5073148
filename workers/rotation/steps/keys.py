"""The keys as the stores give them, and whether Synap knows them."""

from __future__ import annotations

from workers.rotation.errors import PortError, Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Live, Side, Verdict
from workers.rotation.work import Result, Work, hold, retry


def ours(work: Work, live: Live) -> bool:
    """Say whether an identity is the old key's; one that is not told (402) counts as it."""
    pairs = (
        (live.client_id, work.rotation.client_id),
        (live.instance_id, work.rotation.instance_id),
    )
    return all(found in ("", wanted) for found, wanted in pairs)


def read_back(work: Work) -> Secret | Result:
    """Return the new key as every store gives it, or why it is not there."""
    value: Secret | None = None
    for store in work.credential.stores:
        slot = store.read_current()
        side = work.pair.judge(slot.value) if slot is not None else Side.THIRD
        if side is Side.THIRD:
            text = f"{store.name} holds neither the old nor the new key"
            return hold(Reason.THIRD_WRITER, text)
        if side is Side.OLD:
            return retry(Reason.UNFAITHFUL, f"{store.name} gives the old key again")
        assert slot is not None
        value = slot.value
    if value is None:
        return hold(Reason.NOT_CONFIGURED, "no store is configured any more")
    return value


def old_value(work: Work) -> Secret | None:
    """Return the old key from a store that still keeps it; None when none does."""
    for store in work.credential.stores:
        try:
            slot = store.read_previous(work.pair)
        except PortError:
            continue
        if slot is not None and work.world.fingerprint(slot.value) == work.rotation.old:
            return slot.value
    return None


def whoami_old(work: Work) -> Verdict | None:
    """Ask for the old key; None when no store keeps it any more."""
    value = old_value(work)
    return None if value is None else work.verifier.whoami(value)


def whoami_new(work: Work) -> Verdict | None:
    """Ask for the new key as the stores give it; None when one does not give it."""
    value = read_back(work)
    return None if isinstance(value, Result) else work.verifier.whoami(value)


def lives(verdict: Verdict | None) -> bool:
    """Say whether an answer proves that a key works."""
    return isinstance(verdict, Live)
