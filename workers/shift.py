"""One job at work: what is claimed and not settled, what waits to be written, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.handlers import Burst
from workers.ledger.transitions import Claim, Settlement
from workers.metrics import Outcome


@dataclass(slots=True)
class Tally:
    """What became of a job's events, for its canonical log line."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


class Shift:
    """One slice at work: what is claimed and not settled, and what waits to be written."""

    def __init__(
        self, job_id: str, leased: float, tally: Tally, claims: Mapping[str, Claim]
    ) -> None:
        self.job_id = job_id
        self.leased = leased
        self.tally = tally
        self.kinds = {key: claim.kind for key, claim in claims.items()}
        self.unsettled = dict(claims)
        self.pending: list[Settlement] = []
        self.bursts: dict[str, Burst] = {}
