"""The step of each state: the work that leads out of it.

Every step asks what is done already, does the next thing, and may run twice. What it found out
becomes a `Result`; what that leads to is the table's decision, not the step's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from workers.rotation.state import State
from workers.rotation.steps import back, begin, deposit, mint, promote, prove, revoke, roll, watch
from workers.rotation.work import Result, Step, Work, wait

__all__ = ["STEPS"]


def paused(work: Work) -> Result:
    """Wait for a person; what stopped it stays to be read."""
    return wait(work.rotation.reason, work.rotation.detail)


STEPS: Final[Mapping[State, Step]] = MappingProxyType(
    {
        State.PLANNED: begin.plan,
        State.LOCKED: begin.look,
        State.INTENT: begin.intend,
        State.MINTING: mint.mint,
        State.AWAITING_KEY: mint.await_key,
        State.MINTED: deposit.preverify,
        State.PREVERIFIED: deposit.store_pending,
        State.STORED_PENDING: promote.promote,
        State.PROMOTED: roll.fix,
        State.RESTARTING: roll.restart,
        State.ROLLED_OUT: prove.verify,
        State.VERIFIED: watch.settle,
        State.OVERLAP: watch.overlap,
        State.REVOKE_GATE: watch.gate,
        State.REVOKING: revoke.revoke,
        State.REVOKED: revoke.confirm,
        State.CONFIRMED: revoke.clean,
        State.PAUSED: paused,
        State.ROLLING_BACK: back.roll_back,
        State.COMPENSATING: back.compensate,
        State.REVOKE_FAILED: revoke.revoke,
        State.ORPHAN: back.compensate,
        State.BREAK_GLASS: revoke.break_glass,
    }
)
"""Every state that lives has one."""
