"""When each credential's rotation has to begin, and whether there is time left.

Pure but for `Schedule`, which looks at every credential now and then: it begins what is due and
says when a plan stops being feasible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from workers.alert import Alert
from workers.ledger.transitions import Ledger
from workers.reading import span, utc
from workers.rotation.alerts import EVENT_TYPE
from workers.rotation.book import Book, Facts, begin
from workers.rotation.config import Credential, RotationConfig
from workers.rotation.freeze import Freeze, frozen_seconds, thaw
from workers.rotation.moves import ACTOR
from workers.rotation.orders import by_hand, first_entry
from workers.rotation.record import Rotation, plan
from workers.rotation.run import RoutesAlerts
from workers.rotation.state import BEFORE_PROMOTION
from workers.severity import Severity

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
BY_ISSUER_SECONDS: Final = HOUR
BY_HAND_SECONDS: Final = DAY
SHARE: Final = 0.9
ROUNDS: Final = 8
DUE_AGAIN: Final = 7 * DAY
TRY_AGAIN: Final = DAY
"""How long nothing begins by itself after a rotation that failed."""

INFEASIBLE: Final = "infeasible"
DUE: Final = "due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is ahead of a credential; times are Unix seconds, None is never or unknown.

    `work` is how many seconds the way to a verified new key is expected to take.
    """

    next_start: float | None
    expires_at: float | None
    latest_start: float | None
    work: float
    feasible: bool
    rotation: Rotation | None = None


def expected(credential: Credential, facts: Facts) -> float:
    """Return how long it takes until the new key is verified: as long as nine of ten took."""
    usual = BY_HAND_SECONDS if by_hand(credential) else BY_ISSUER_SECONDS
    took = sorted(facts.durations)
    return took[ceil(SHARE * len(took)) - 1] if took else usual


def latest_start(credential: Credential, facts: Facts) -> float | None:
    """Return the last moment to begin, so that both keys live for the whole overlap.

    Time that is frozen does not count, neither for the work nor for the revocation.
    """
    if not facts.expires_at:
        return None
    need = expected(credential, facts) + credential.overlap
    start = facts.expires_at - need
    for _ in range(ROUNDS):
        frozen = frozen_seconds(credential.freezes, start, facts.expires_at)
        earlier = facts.expires_at - need - frozen
        if earlier >= start:
            break
        start = earlier
    return start


def outlook(
    credential: Credential, facts: Facts, now: float, rotation: Rotation | None = None
) -> Outlook:
    """Return when the next rotation begins, by the calendar or by the expiry, and if it can."""
    latest = latest_start(credential, facts)
    since = facts.rotated_at or facts.seen_at or now
    starts = [since + credential.cadence] if credential.cadence is not None else []
    starts += [latest] if latest is not None else []
    soonest = min(starts, default=None)
    work = expected(credential, facts)
    # what has begun in time has the time that it was given
    margin = work if rotation is not None else 0.0
    open_ended = rotation is not None and rotation.state not in BEFORE_PROMOTION
    return Outlook(
        next_start=None if soonest is None else _free(credential.freezes, soonest, now),
        expires_at=facts.expires_at or None,
        latest_start=latest,
        work=work,
        feasible=latest is None or open_ended or now <= latest + margin,
        rotation=rotation,
    )


def _free(freezes: tuple[Freeze, ...], start: float, now: float) -> float:
    return thaw(freezes, max(start, now)) if start <= now else thaw(freezes, start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Looks at every credential: an errand of the tick, which needs no secret for it."""

    book: Book
    ledger: Ledger
    configuration: Callable[[], RotationConfig]
    routing: RoutesAlerts | None
    prefix: str

    def run(self, now: float) -> int:
        """Begin what is due at `now` (Unix seconds) and tell what is not feasible any more."""
        credentials = self.configuration().credentials
        return sum(self._look(credential, now) for credential in credentials)

    def outlook(self, credential: Credential, now: float) -> Outlook:
        """Return what is ahead of one credential."""
        facts = self.book.facts(credential.name)
        return outlook(credential, facts, now, self.book.active(credential.name))

    def _look(self, credential: Credential, now: float) -> int:
        self.book.see(credential.name, now)
        ahead = self.outlook(credential, now)
        due = ahead.next_start is not None and ahead.next_start <= now
        told = self._tell(credential, ahead, due=due, now=now)
        rested = now - self.book.facts(credential.name).tried_at >= TRY_AGAIN
        if not (due and rested and ahead.rotation is None and credential.rotates):
            return told
        rotation = plan(
            credential.name, now=now, trigger="schedule", expires_at=ahead.expires_at or 0.0
        )
        entry = first_entry(ACTOR, now, "the schedule says so")
        rotation = replace(rotation, tip=entry.chain)
        self.ledger.apply([begin(self.prefix, rotation, entry, reported_at=now)])
        return told + 1

    def _tell(self, credential: Credential, ahead: Outlook, *, due: bool, now: float) -> int:
        """Raise or end what is to be known; the hash of facts says what was raised last."""
        warned = self.book.facts(credential.name).warned
        wanted = ""
        if not ahead.feasible:
            wanted = INFEASIBLE
        elif due and not credential.rotates:
            wanted = f"{DUE}:{int(now // DUE_AGAIN)}"
        if wanted == warned:
            return 0
        alerts: list[Alert] = []
        if warned == INFEASIBLE:
            alerts.append(_infeasible(credential, ahead, now, ends_at=now))
        if wanted == INFEASIBLE:
            alerts.append(_infeasible(credential, ahead, now))
        elif wanted:
            alerts.append(_due(credential, now))
        assert self.routing is not None, "only the tick looks, and it can tell"
        self.ledger.apply(self.routing.effects(alerts, now))
        self.book.note(credential.name, {"warned": wanted})
        return len(alerts)


def _infeasible(
    credential: Credential, ahead: Outlook, now: float, *, ends_at: float | None = None
) -> Alert:
    until = utc(ahead.expires_at or now)
    return _alert(
        "SynapRotationInfeasible",
        Severity.CRITICAL,
        credential,
        summary=f"{credential.name} expires at {until}: too late for a rotation with its overlap",
        description=(
            f"The way to a verified new key takes {span(ahead.work)}, the overlap "
            f"{span(credential.overlap)}; it had to begin by {utc(ahead.latest_start or now)}. "
            f"Begin now and make haste: synap-hooks rotation start {credential.name} --urgent"
        ),
        now=now,
        ends_at=ends_at,
    )


def _due(credential: Credential, now: float) -> Alert:
    return _alert(
        "SynapRotationDue",
        Severity.LOW,
        credential,
        summary=f"{credential.name} is due for rotation",
        description=(
            "Its mode is observe, so nothing begins by itself: rotate it by hand, or set its mode."
        ),
        now=now,
        ends_at=now + DUE_AGAIN,
    )


def _alert(
    name: str,
    severity: Severity,
    credential: Credential,
    *,
    summary: str,
    description: str,
    now: float,
    ends_at: float | None,
) -> Alert:
    labels: Mapping[str, str] = {
        "alertname": name,
        "severity": severity.value,
        "event_type": EVENT_TYPE,
        "instance_id": credential.instance_id or credential.match.instance_id,
        "credential_id": credential.name,
    }
    return Alert(
        labels=labels,
        annotations={
            "summary": summary,
            "description": description,
            "runbook": f"README.md#{name.lower()}",
            "inspect": "synap-hooks rotation plan",
        },
        starts_at=now,
        updated_at=now,
        ends_at=ends_at,
        timeout=ends_at is not None and ends_at > now,
    )
