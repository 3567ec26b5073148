"""What every store decides alike before it writes: from the values that it holds, nothing else.

Each function is pure and either says what to do or raises what forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable

from workers.rotation.errors import PermanentError, Reason, ThirdWriterError, TransientError
from workers.rotation.ports import Pair, Side, Slot


def must_put(name: str, current: Slot | None, pending: Slot | None, pair: Pair) -> bool:
    """Say whether the new value must still be written to the pending slot.

    Raises:
        ThirdWriterError: a slot holds what this rotation knows nothing of.
        PermanentError: nothing is current, so there is nothing to replace.
    """
    _side(name, current, pair)
    if pending is None:
        return True
    side = pair.judge(pending.value)
    if side is Side.THIRD:
        raise ThirdWriterError(f"{name}: another key waits in the pending slot")
    return side is Side.OLD


def must_promote(name: str, current: Slot | None, pair: Pair) -> bool:
    """Say whether the new value must still become current.

    Raises:
        ThirdWriterError: current is neither the old nor the new value.
        PermanentError: nothing is current.
    """
    return _side(name, current, pair) is Side.OLD


def must_roll_back(name: str, current: Slot | None, pair: Pair) -> bool:
    """Say whether the old value must still become current.

    Raises:
        ThirdWriterError: current is neither the old nor the new value.
        PermanentError: nothing is current.
    """
    return _side(name, current, pair) is Side.NEW


def waiting(name: str, pending: Slot | None, pair: Pair) -> Slot:
    """Return the pending slot, which must hold the new value.

    Raises:
        PermanentError: it does not (`key_lost`).
    """
    if pending is None or pair.judge(pending.value) is not Side.NEW:
        raise PermanentError(Reason.KEY_LOST, f"{name}: the new key is not in the pending slot")
    return pending


def old_of(slots: Iterable[Slot | None], pair: Pair) -> Slot | None:
    """Return the first slot that holds the old value; None if it is not kept any more."""
    return next((slot for slot in slots if slot and pair.judge(slot.value) is Side.OLD), None)


def kept(name: str, old: Slot | None) -> Slot:
    """Return the slot with the old value.

    Raises:
        PermanentError: it is not kept any more (`key_lost`).
    """
    if old is None:
        raise PermanentError(Reason.KEY_LOST, f"{name}: the old key is not kept any more")
    return old


def waits(pending: Slot | None, pair: Pair) -> bool:
    """Say whether the pending slot holds this rotation's new value."""
    return pending is not None and pair.judge(pending.value) is Side.NEW


def confirm(name: str, current: Slot | None, pair: Pair, wanted: Side) -> None:
    """Check what is read back after a write.

    Raises:
        ThirdWriterError: somebody else wrote at the same time.
        TransientError: the write does not show yet (`unfaithful`).
    """
    if _side(name, current, pair) is not wanted:
        raise TransientError(Reason.UNFAITHFUL, f"{name}: what was written does not show yet")


def lost(name: str, current: Slot | None, pair: Pair, wanted: Side) -> None:
    """Judge a compare-and-set that was refused: somebody wrote since, perhaps ourselves.

    Raises:
        ThirdWriterError: somebody else wrote.
        TransientError: it was neither (`conflict`); reading anew may help.
    """
    if _side(name, current, pair) is not wanted:
        raise TransientError(Reason.CONFLICT, f"{name}: it was changed at the same time")


def _side(name: str, current: Slot | None, pair: Pair) -> Side:
    if current is None:
        raise PermanentError(Reason.NOT_FOUND, f"{name}: there is no current key to replace")
    side = pair.judge(current.value)
    if side is Side.THIRD:
        raise ThirdWriterError(f"{name}: the current key is neither the old nor the new one")
    return side
