"""Deliveries: attempted under a lease until they are told, folded, or too late.

An attempt's outcome, its row in the ledger, the log and all that follows from it are one write.
So any number of workers may try at once, and a worker may die at any point.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import structlog
from redis.exceptions import RedisError

from workers.alerting.config import AlertingConfig
from workers.alerting.deliveries import FELL_BACK, Attempt, Deliveries, Outcome
from workers.alerting.durability import Durability
from workers.alerting.fallback import instead_of
from workers.alerting.flush import Message
from workers.alerting.folding import folded, unfolded
from workers.alerting.groups import Groups
from workers.alerting.notification import MAX_ALERTS, Call
from workers.alerting.outcomes import achieved, backoff, ends_in_summary, keep_alive, kept_alive
from workers.alerting.ports import Decision, History, Record, Seen
from workers.alerting.receivers import Integration
from workers.metrics import Delivery, WorkerMetrics
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent, Verdict
from workers.self_alerts import TARGET_FAILING, target_failing

JOB_SECONDS: Final = 20.0
"""Seconds after which a job begins no further attempt; the tick hands on what is left."""

_log = structlog.get_logger("workers.alerting")


class _Tried(NamedTuple):
    """An attempt that came to a verdict, and how many milliseconds that took.

    `repeated` says that an earlier one may have arrived.
    """

    attempt: Attempt
    integration: Integration | None
    verdict: Verdict
    took: float
    repeated: bool


def _known_since(attempt: Attempt) -> float:
    """Return since when what an attempt tells may have been told already.

    A server that forgot a group forgot that it was told; the event is then processed again.
    """
    notification, told = attempt.notification, attempt.before.firing
    news = [one.updated_at for one in notification.firing if one.fingerprint not in told]
    return min([notification.planned, *news])


class Deliverer:
    """Attempts deliveries; `clock` gives Unix seconds, `chance` 0 to 1."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        durability: Durability,
        groups: Groups,
        current: Callable[[], AlertingConfig],
        history: History,
        outbound: Outbound,
        metrics: WorkerMetrics,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._deliveries = deliveries
        self._durability = durability
        self._groups = groups
        self._current = current
        self._history = history
        self._outbound = outbound
        self._metrics = metrics
        self._clock = clock
        self._chance = chance

    def deliver(self, delivery_ids: Sequence[str], now: float) -> None:
        """Attempt those of the deliveries that are due, for a bounded time."""
        self._all(deque(self._deliveries.targets(delivery_ids).items()), now)

    def carry_on(self, attempt: Attempt | None, others: Sequence[Message], now: float) -> None:
        """Make an attempt that was begun already, then those that follow it."""
        waiting = deque((message.delivery, message.target) for message in others)
        if attempt is not None:
            integration = self._current().integrations.get(attempt.target)
            waiting.extend(self._settle(self._attempt(attempt, integration, now), now))
        self._all(waiting, now)

    def _all(self, waiting: deque[tuple[str, str]], now: float) -> None:
        began = self._clock()
        integrations = self._current().integrations
        while waiting:
            delivery, target = waiting.popleft()
            spent = self._clock() - began
            if spent > JOB_SECONDS:
                return
            try:
                waiting.extend(self._deliver(delivery, integrations.get(target), now + spent))
            except RedisError:
                raise
            except Exception as error:  # noqa: BLE001 - one broken delivery must not stop others
                _log.error("delivery.broke", target=target, error=type(error).__name__)

    def _deliver(
        self, delivery: str, integration: Integration | None, now: float
    ) -> list[tuple[str, str]]:
        """Attempt one delivery; return those, with their targets, that stand in for it."""
        attempt = self._deliveries.claim(delivery, integration, now)
        if attempt is None:
            return []
        return self._settle(self._attempt(attempt, integration, now), now)

    def _attempt(self, attempt: Attempt, integration: Integration | None, now: float) -> _Tried:
        """Tell the target once; whatever goes wrong is a verdict."""
        doubtful = attempt.lost or attempt.before.doubt
        repeated = doubtful or self._durability.suspect(_known_since(attempt))
        began = self._clock()
        verdict = self._call(attempt, integration, now, repeated=repeated)
        return _Tried(attempt, integration, verdict, (self._clock() - began) * 1000, repeated)

    def _call(
        self, attempt: Attempt, integration: Integration | None, now: float, *, repeated: bool
    ) -> Verdict:
        if integration is None:
            return Permanent(Reason.CANCELED, "the receiver is no longer configured")
        if attempt.fold or ends_in_summary(attempt):
            return Sent("in the summary")
        if now >= attempt.deadline:
            return Permanent(Reason.DEADLINE, "not delivered in time")
        delivery = f"{attempt.id[:16]}-{attempt.notification.state_id}"
        call = Call(self._outbound, attempt.before.memory, delivery, now, repeated)
        try:
            return integration.notifier.notify(attempt.notification, call)
        except Exception as error:  # noqa: BLE001 - one broken notifier must not stop the others
            # The message may hold a secret or a payload; the type says where to look.
            _log.error("notifier.broke", target=attempt.target, error=type(error).__name__)
            return Retry(Reason.OTHER, type(error).__name__, ambiguous=True)

    def _settle(self, tried: _Tried, now: float) -> list[tuple[str, str]]:
        """Write an outcome; return the deliveries, with their targets, that stand in for it."""
        attempt, verdict = tried.attempt, tried.verdict
        outcome, decision = self._outcome(tried, now)
        idempotent = tried.integration is None or tried.integration.notifier.idempotent
        row: dict[str, str | float] = {
            "at": now,
            "group": attempt.gid,
            "target": attempt.target,
            "status": attempt.notification.status,
            "attempt": attempt.number,
            "outcome": "folded" if decision is Decision.FOLDED else outcome.word,
            "reason": "" if isinstance(verdict, Sent) else verdict.reason.value,
            "detail": verdict.note if isinstance(verdict, Sent) else verdict.detail,
            "ms": round(tried.took, 1),
            "possible_duplicate": int(tried.repeated and not idempotent),
        }
        written = self._deliveries.settle(attempt, outcome, row, now, tried.integration)
        self._count(tried, decision)
        level = _log.info if isinstance(verdict, Sent) else _log.warning
        level("notification.attempted", **row, fence_held=bool(written))
        self._remember(tried, decision, now)
        if written != FELL_BACK:
            return []
        instead = [message.target for message in outcome.instead]
        _log.warning("notification.fell_back", target=attempt.target, instead=instead)
        self._remember(tried, Decision.FELL_BACK, now, instead)
        return [(message.delivery, message.target) for message in outcome.instead]

    def _outcome(self, tried: _Tried, now: float) -> tuple[Outcome, Decision]:
        attempt, verdict = tried.attempt, tried.verdict
        if isinstance(verdict, Sent):
            return self._sent(tried, verdict, now)
        alive = keep_alive(tried.integration) if attempt.kept else None
        if isinstance(verdict, Permanent):
            if alive is not None:
                return kept_alive(now, alive), Decision.FAILED
            return self._failed(tried, verdict, now), Decision.FAILED
        wait = backoff(attempt.number, self._chance()) if verdict.after is None else verdict.after
        next_at = min(now + wait, attempt.deadline)
        outcome = Outcome(
            word="retry",
            next_at=next_at,
            entry=achieved(attempt, verdict, unsure=verdict.ambiguous or attempt.lost),
            rest=max(0.0, next_at - now),
        )
        return outcome, Decision.RETRIED

    def _sent(self, tried: _Tried, verdict: Sent, now: float) -> tuple[Outcome, Decision]:
        attempt, integration = tried.attempt, tried.integration
        assert integration is not None
        before = attempt.before
        memory = before.memory if verdict.memory is None else verdict.memory
        if attempt.fold:
            notification = attempt.notification
            place, effects = folded(self._groups, integration, notification, before.folded, now)
            entry = attempt.told._replace(memory=memory, folded=place)
            return Outcome(word="sent", entry=entry, effects=effects), Decision.FOLDED
        effects = unfolded(self._groups, integration, before.folded, now)
        entry = attempt.told._replace(memory=memory)
        alive = keep_alive(integration)
        if alive is None or attempt.notification.status == "resolved":
            return Outcome(word="sent", entry=entry, effects=effects), Decision.TOLD
        kept = kept_alive(now, alive)
        if attempt.kept:
            return kept, Decision.UNCHANGED
        return replace(kept, entry=entry, effects=effects), Decision.TOLD

    def _failed(self, tried: _Tried, verdict: Permanent, now: float) -> Outcome:
        """Give a delivery up: tell on-call of it, and let the fallback stand in."""
        attempt, integration = tried.attempt, tried.integration
        entry = achieved(attempt, verdict, unsure=attempt.lost)
        if integration is None:
            return Outcome(word="failed", entry=entry)
        named = {alert.name for alert in attempt.notification.alerts}
        effects = []
        if named != {TARGET_FAILING}:
            alert = target_failing(
                integration.receiver, integration.type, verdict.reason.value, now=now
            )
            effects = self._groups.effects([alert], now)
        config = self._current()
        return Outcome(
            word="failed",
            entry=entry,
            effects=effects,
            instead=instead_of(config, self._deliveries, attempt, integration, now),
            deadline=now + config.delivery_deadline,
        )

    def _count(self, tried: _Tried, decision: Decision) -> None:
        kind = tried.attempt.target.rsplit("/", 2)[1]
        counted = Delivery.SENT
        if not isinstance(tried.verdict, Sent):
            counted = Delivery(tried.verdict.reason)
        elif decision is Decision.FOLDED:
            counted = Delivery.FOLDED
        self._metrics.notifications.labels(kind, counted).inc()

    def _remember(
        self, tried: _Tried, decision: Decision, now: float, reasons: Sequence[str] = ()
    ) -> None:
        attempt, verdict = tried.attempt, tried.verdict
        again = decision is Decision.RETRIED and attempt.number > 1
        if again or (attempt.kept and decision is not Decision.FAILED):
            return
        failure = () if isinstance(verdict, Sent) else (f"{verdict.reason}: {verdict.detail}",)
        receiver, kind, place = attempt.target.rsplit("/", 2)
        notification = attempt.notification
        record = Record(
            at=now,
            gid=attempt.gid,
            group_key=notification.group_key,
            route="",
            receiver=receiver,
            integration=f"{kind}/{place}",
            decision=decision,
            why=notification.why.value,
            reasons=tuple(reasons) or failure,
            alerts=tuple(
                Seen(one.fingerprint, one.labels, one.starts_at, one.resolved(notification.at))
                for one in notification.alerts[:MAX_ALERTS]
            ),
        )
        self._history.record([record])
