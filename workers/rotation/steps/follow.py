"""The copies that something else makes of the key: they have to follow before anything restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workers.rotation.applications import Copy
from workers.rotation.errors import Reason
from workers.rotation.ports import Side
from workers.rotation.work import Result, Work, retry

_WORDS: Final = {Side.NEW: "the new", Side.OLD: "the old"}


def behind(work: Work, wanted: Side) -> Sequence[Copy]:
    """Return the copies that do not hold the wanted key."""
    return [copy for copy in work.credential.copies if _side(work, copy) is not wanted]


def follow(work: Work, wanted: Side) -> Result | None:
    """Ask the copies that are behind to look at their store; None once all hold the wanted key.

    Each look asks with a mark of its own: a copy may have been made from a stale answer.
    """
    late = behind(work, wanted)
    step = "back" if wanted is Side.OLD else "roll"
    for copy in late:
        copy.ask(f"{work.stamp(step).rotation}-{work.rotation.attempt}")
    if not late:
        return None
    names = ", ".join(copy.name for copy in late)
    return retry(Reason.UNSYNCED, f"not {_WORDS[wanted]} key yet: {names}")


def _side(work: Work, copy: Copy) -> Side | None:
    slot = copy.read()
    return None if slot is None else work.pair.judge(slot.value)
