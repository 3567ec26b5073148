"""One job at work: what is claimed and not settled, what waits to be written, what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from workers.handlers import Burst
from workers.ledger.transitions import Claim, Settlement, Settling
from workers.metrics import Outcome


@dataclass(slots=True)
class Tally:
    """What became of a job's events, for its canonical log line."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


class Begun(NamedTuple):
    """A settle that is on its way, and what it settles."""

    settling: Settling
    items: Sequence[Settlement]


class Shift:
    """One slice at work: what is claimed and not settled, waits to be written, or is on its way."""

    def __init__(
        self, job_id: str, leased: float, tally: Tally, claims: Mapping[str, Claim]
    ) -> None:
        self.job_id = job_id
        self.leased = leased
        self.tally = tally
        self.kinds = {key: claim.kind for key, claim in claims.items()}
        self.unsettled = dict(claims)
        self.pending: list[Settlement] = []
        self.begun: Begun | None = None
        self.bursts: dict[str, Burst] = {}

    def end(self) -> None:
        """Let go of what is on its way, when the slice ended before it was waited for."""
        if self.begun is not None:
            self.begun.settling.abandon()
