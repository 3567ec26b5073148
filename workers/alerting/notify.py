"""The pipeline: what is due is decided, told, and tried again until it is told or too late.

A flush decides for each integration of the group's receiver, by itself, and leaves deliveries;
a delivery is attempted under a lease, and its outcome, the ledger row and the log are one write.
So any number of workers may try at once, and a worker may die at any point.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog
from redis import Redis

from workers.alerting.config import AlertingConfig, Integration
from workers.alerting.decision import Entry
from workers.alerting.flush import Message, Options, messages
from workers.alerting.keys import delivery_id
from workers.alerting.notification import Call
from workers.alerting.store import Attempt, Begun, GroupMeta, Outcome, Store
from workers.metrics import Delivery, WorkerMetrics
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent, Verdict

JOB_SECONDS: Final = 20.0
"""Seconds after which a job begins no further attempt; the tick hands on what is left."""

BACKOFF_SECONDS: Final = 0.5
BACKOFF_GROWTH: Final = 1.5
BACKOFF_JITTER: Final = 0.5
BACKOFF_CAP: Final = 60.0

_log = structlog.get_logger("workers.alerting")


class _Tried(NamedTuple):
    """An attempt that came to a verdict, and how many milliseconds that took."""

    attempt: Attempt
    integration: Integration | None
    verdict: Verdict
    took: float


class Dispatcher:
    """Flushes groups and attempts deliveries; `clock` gives Unix seconds, `chance` 0 to 1."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        config: AlertingConfig,
        outbound: Outbound,
        metrics: WorkerMetrics,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = Store(redis, prefix)
        self._config = config
        self._outbound = outbound
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._slots = {route.slot: route for route in config.route.walk()}
        self._integrations = {
            f"{one.receiver}/{one.name}": one
            for receiver in config.receivers.values()
            for one in receiver.integrations
        }

    def flush(self, group_ids: Sequence[str], now: float) -> None:
        """Flush those of the groups whose flush is pending, and try what comes of it."""
        deliveries = [
            delivery
            for group in self._store.groups(group_ids)
            for delivery in self._flush(group, now)
        ]
        if deliveries:
            self.deliver(deliveries, max(now, self._clock()))

    def deliver(self, delivery_ids: Sequence[str], now: float) -> None:
        """Attempt those of the deliveries that are due, for a bounded time."""
        began = self._clock()
        for delivery in delivery_ids:
            spent = self._clock() - began
            if spent > JOB_SECONDS:
                return
            attempt = self._store.claim(delivery, now + spent)
            if attempt is not None:
                self._settle(self._attempt(attempt, now + spent), now + spent)

    def _flush(self, group: GroupMeta, now: float) -> list[str]:
        """Flush one group; return the deliveries that it left."""
        options = self._options(group)
        begun = self._store.begin(group, options, now, self._config.external_url)
        if begun is None:
            return []
        receiver = self._config.receivers.get(options.receiver)
        integrations = receiver.integrations if receiver else ()
        if receiver is None:
            _log.warning("group.orphaned", group=group.key, receiver=options.receiver)
        due = messages(begun.flush, integrations)
        send = [one for one in due if one.notification and one.integration.notifier.durable]
        told = {one.target: self._tell(one, begun) for one in due if one not in send}
        kept = {one.delivery for one in send}
        idle = (
            delivery_id(group.gid, target)
            for target in (f"{one.receiver}/{one.name}" for one in integrations)
        )
        finished = self._store.finish(
            begun,
            entries=told,
            drop=[delivery for delivery in idle if delivery not in kept],
            send=send,
            deadline=now + self._config.delivery_deadline,
            now=now,
        )
        return sorted(kept) if finished else []

    def _options(self, group: GroupMeta) -> Options:
        """Return the options of the group's route; a group outlives a route that is gone."""
        route = self._slots.get(group.slot)
        if route is None:
            return group.options
        own = route.options
        return Options(own.receiver, own.group_interval, own.repeat_interval, own.labels)

    def _tell(self, message: Message, begun: Begun) -> Entry:
        """Tell what needs no delivery: what stands where it is written, or nothing at all."""
        before = begun.flush.log.get(message.target) or Entry()
        if message.notification is not None:
            call = Call(self._outbound, before.memory, message.delivery, begun.flush.now)
            message.integration.notifier.notify(message.notification, call)
        counted = Delivery.SENT if message.notification else Delivery.SUPPRESSED
        self._metrics.notifications.labels(message.integration.type, counted).inc()
        return message.entry(before.memory)

    def _attempt(self, attempt: Attempt, now: float) -> _Tried:
        """Tell the target once; whatever goes wrong is a verdict."""
        integration = self._integrations.get(attempt.target)
        began = self._clock()
        verdict = self._call(attempt, integration, now)
        return _Tried(attempt, integration, verdict, (self._clock() - began) * 1000)

    def _call(self, attempt: Attempt, integration: Integration | None, now: float) -> Verdict:
        if integration is None:
            return Permanent(Reason.CANCELED, "the receiver is no longer configured")
        if now >= attempt.deadline:
            return Permanent(Reason.DEADLINE, "not delivered in time")
        entry = attempt.entry or Entry()
        call = Call(self._outbound, entry.memory, f"{attempt.id[:16]}-{attempt.revision}", now)
        try:
            return integration.notifier.notify(attempt.notification, call)
        except Exception as error:  # noqa: BLE001 - one broken notifier must not stop the others
            # The message may hold a secret or a payload; the type says where to look.
            _log.error("notifier.broke", target=attempt.target, error=type(error).__name__)
            return Retry(Reason.OTHER, type(error).__name__, ambiguous=True)

    def _settle(self, tried: _Tried, now: float) -> None:
        attempt, verdict = tried.attempt, tried.verdict
        outcome = self._outcome(attempt, verdict, now)
        repeated = bool(attempt.lost or (attempt.entry and attempt.entry.doubt))
        idempotent = tried.integration is None or tried.integration.notifier.idempotent
        row: dict[str, str | float] = {
            "at": now,
            "group": attempt.gid,
            "target": attempt.target,
            "status": attempt.notification.status,
            "attempt": attempt.number,
            "outcome": outcome.word,
            "reason": "" if isinstance(verdict, Sent) else verdict.reason.value,
            "detail": verdict.note if isinstance(verdict, Sent) else verdict.detail,
            "ms": round(tried.took, 1),
            "possible_duplicate": int(repeated and not idempotent),
        }
        written = self._store.settle(attempt, outcome, row, now)
        kind = attempt.target.rsplit("/", 2)[1]
        counted = Delivery.SENT if isinstance(verdict, Sent) else Delivery(verdict.reason)
        self._metrics.notifications.labels(kind, counted).inc()
        level = _log.info if isinstance(verdict, Sent) else _log.warning
        level("notification.attempted", **row, fence_held=written)

    def _outcome(self, attempt: Attempt, verdict: Verdict, now: float) -> Outcome:
        before = attempt.entry or Entry()
        if isinstance(verdict, Sent):
            memory = before.memory if verdict.memory is None else verdict.memory
            planned = attempt.notification.planned
            told = Entry(attempt.firing, attempt.resolved, planned, memory)
            return Outcome("sent", entry=told)
        if isinstance(verdict, Permanent):
            return Outcome("failed", entry=_doubted(attempt, attempt.lost))
        wait = self._backoff(attempt.number) if verdict.after is None else verdict.after
        next_at = min(now + wait, attempt.deadline)
        entry = _doubted(attempt, verdict.ambiguous or attempt.lost)
        return Outcome("retry", next_at, entry, max(0.0, next_at - now))

    def _backoff(self, attempts: int) -> float:
        """Return seconds to the next attempt: growing, with jitter, capped."""
        plain = BACKOFF_SECONDS * BACKOFF_GROWTH ** min(attempts - 1, 20)
        spread = 1 + BACKOFF_JITTER * (2 * self._chance() - 1)
        return min(BACKOFF_CAP, plain * spread)


def _doubted(attempt: Attempt, unsure: bool) -> Entry | None:  # noqa: FBT001 - a private word
    """Return the log entry that says that firing alerts may have been told; None if not so."""
    before = attempt.entry or Entry()
    if not unsure or not attempt.firing or before.doubt:
        return None
    return before._replace(doubt=True)
