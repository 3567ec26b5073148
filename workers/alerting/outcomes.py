"""What an attempt leaves behind, whatever came of it. Pure."""

from __future__ import annotations

from typing import Final

from workers.alerting.decision import Entry
from workers.alerting.deliveries import Attempt, Outcome
from workers.alerting.notification import Forgetful
from workers.alerting.receivers import Integration
from workers.outbound import Permanent, Retry

BACKOFF_SECONDS: Final = 0.5
BACKOFF_GROWTH: Final = 1.5
BACKOFF_JITTER: Final = 0.5
BACKOFF_CAP: Final = 60.0


def backoff(attempts: int, chance: float) -> float:
    """Return seconds to the next attempt: growing, with jitter, capped; `chance` is 0 to 1."""
    plain = BACKOFF_SECONDS * BACKOFF_GROWTH ** min(attempts - 1, 20)
    spread = 1 + BACKOFF_JITTER * (2 * chance - 1)
    return min(BACKOFF_CAP, plain * spread)


def ends_in_summary(attempt: Attempt) -> bool:
    """Say whether what is over was only ever told in a summary, which ends it too."""
    before = attempt.before
    return bool(before.folded) and not before.doubt and attempt.notification.status == "resolved"


def keep_alive(integration: Integration | None) -> float | None:
    """Return after how many seconds a target has to be told again; None if it need not be."""
    notifier = integration.notifier if integration else None
    return notifier.keep_alive if isinstance(notifier, Forgetful) else None


def kept_alive(now: float, alive: float) -> Outcome:
    """Return the outcome of what stays, to be told again before its target forgets it."""
    return Outcome(word="keep", next_at=now + alive, kept_until=now + 2 * alive)


def achieved(attempt: Attempt, verdict: Retry | Permanent, *, unsure: bool) -> Entry | None:
    """Return the log after a failure: what was told in part or perhaps; None if it stays as is."""
    before = attempt.before
    entry = before
    if verdict.memory is not None:
        entry = entry._replace(memory=verdict.memory)
    if attempt.told.firing and (unsure or verdict.memory is not None):
        entry = entry._replace(doubt=True)
    return None if entry == before else entry
