"""The work of one job: claim its events, let handlers decide, write what they decided.

Each event is started, decided and settled on its own; its effects are written in the script
that settles it, and only while this worker's fence holds. So a job may run twice, be killed at
any point, or be overtaken, and every event still has its effect once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import uniform
from typing import Final, Protocol
from uuid import uuid4

import structlog
from rq.timeouts import JobTimeoutException

from receiver.errors import EventError, NewerWireError
from receiver.event import Event, from_wire
from workers.alert import Alert
from workers.handlers import Context, Handler
from workers.ledger.transitions import Claim, Effect, Ledger, Seen, Settlement, Verdict
from workers.metrics import Outcome, WorkerMetrics
from workers.self_alerts import dead_letter
from workers.settings import WorkerSettings

SLICE: Final = 64
NEWER_WIRE_PATIENCE: Final = 3_600.0
NEWER_WIRE_DELAY: Final = 60.0
JITTER: Final = 0.2

WORKER_LOST: Final = "worker_lost"
BODY_MISSING: Final = "body_missing"
HANDLER_ERROR: Final = "handler_error"
HANDLER_TIMEOUT: Final = "handler_timeout"
HANDED_BACK: Final = "handed_back"

_log = structlog.get_logger("workers.processing")


class RoutesAlerts(Protocol):
    """Whatever turns alerts into the writes that bring them to on-call."""

    def effects(self, alerts: Sequence[Alert], now: float) -> list[Effect]:
        """Return the writes; `now` is in Unix seconds."""
        ...


@dataclass(slots=True)
class _Tally:
    """What became of a job's events, for its canonical log line."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


class Processor:
    """Processes the events of one job at a time; times are Unix seconds."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        handlers: Mapping[str, Handler],
        routing: RoutesAlerts,
        metrics: WorkerMetrics,
        settings: WorkerSettings,
        stopping: Callable[[], bool],
        budget: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._handlers = handlers
        self._routing = routing
        self._metrics = metrics
        self._settings = settings
        self._stopping = stopping
        self._budget = budget
        self._clock = clock

    def run(self, job_id: str, queue: str, keys: Sequence[str]) -> None:
        """Process the job's events, and hand back what there was no time for."""
        began = self._clock()
        tally = _Tally()
        position = 0
        while position < len(keys) and not self._enough(began):
            some = keys[position : position + SLICE]
            self._slice(job_id, some, began, tally)
            position += len(some)
        self._hand_on(job_id, queue, keys[position:])
        self._ledger.release_job(job_id)
        _log.info(
            "job.finished",
            job_id=job_id,
            queue=queue,
            events=len(keys),
            duration_ms=round((self._clock() - began) * 1000, 1),
            **{outcome.value: count for outcome, count in sorted(tally.outcomes.items())},
        )

    def _enough(self, began: float) -> bool:
        return self._stopping() or self._clock() - began > self._budget

    def _slice(self, job_id: str, keys: Sequence[str], began: float, tally: _Tally) -> None:
        """Work through one slice; each settle also starts the event that follows."""
        lease = self._settings.lease
        leased = self._clock()
        claims = self._ledger.claim(job_id, keys, now=leased, lease=lease)
        pending: list[Settlement] = []
        for index, claim in enumerate(claims):
            now = self._clock()
            found = _hand_back(claim, now) if self._enough(began) else self._open(claim, now)
            if isinstance(found, Settlement):
                pending.append(found)
                continue
            rest = claims[index + 1 :] if now - leased > lease / 3 else ()
            leased = now if rest else leased
            written = self._ledger.settle(
                pending, now=now, job_id=job_id, lease=lease, start=claim, renew=rest
            )
            self._count(pending, written.settled, claims, tally)
            pending = []
            if written.started:
                pending.append(self._attempt(claim, found))
            else:
                tally.add(Outcome.OVERTAKEN)
        written = self._ledger.settle(pending, now=self._clock(), job_id=job_id, lease=lease)
        self._count(pending, written.settled, claims, tally)

    def _open(self, claim: Claim, now: float) -> Event | Settlement:
        """Return the event, or its end when no attempt could help it.

        Every attempt that ended is settled by its worker, and the last one as dead. So an event
        that is claimed with all its attempts used up lost its worker in the last one.
        """
        if claim.attempts >= self._settings.max_attempts:
            return self._dead(claim, WORKER_LOST)
        if claim.wire is None:
            return self._dead(claim, BODY_MISSING)
        try:
            return from_wire(claim.wire)
        except EventError as error:
            return self._dead(claim, error.reason)
        except NewerWireError as error:
            if now - claim.received_at > NEWER_WIRE_PATIENCE:
                return self._dead(claim, error.reason)
            return _retry(claim, error.reason, now + NEWER_WIRE_DELAY)

    def _attempt(self, claim: Claim, event: Event) -> Settlement:
        """Let the handler decide; whatever goes wrong is the end of this attempt only."""
        try:
            return self._decide(claim, event)
        except JobTimeoutException:
            return self._failed(claim, HANDLER_TIMEOUT)
        except Exception:  # noqa: BLE001  # a handler's failure is its event's, not the job's
            _log.exception("handler.broke", kind=claim.kind, event_key=claim.key)
            return self._failed(claim, HANDLER_ERROR)

    def _decide(self, claim: Claim, event: Event) -> Settlement:
        began = self._clock()
        context = Context(now=began, deadline=began + self._settings.handler_timeout)
        decision = self._handlers[claim.kind](event, context)
        effects = self._routing.effects(decision.alerts, began)
        self._metrics.handler_seconds.labels(claim.kind).observe(self._clock() - began)
        return Settlement(claim.key, claim.fence, Verdict.DONE, decision.summary, effects=effects)

    def _failed(self, claim: Claim, reason: str) -> Settlement:
        attempts = claim.attempts + 1
        if attempts >= self._settings.max_attempts:
            return self._dead(claim, reason)
        return _retry(claim, reason, self._clock() + self._delay(attempts))

    def _dead(self, claim: Claim, reason: str) -> Settlement:
        """Give an event up, and tell on-call: its own alert never went out."""
        now = self._clock()
        alert = dead_letter(claim.kind, reason, claim.key, now=now)
        effects = self._routing.effects([alert], now)
        return Settlement(claim.key, claim.fence, Verdict.DEAD, reason, effects=effects)

    def _delay(self, attempts: int) -> float:
        """Return seconds to the next attempt: growing threefold, with jitter, capped."""
        plain = self._settings.retry_base * 3.0 ** (attempts - 1)
        return min(self._settings.retry_cap, plain) * uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # not a secret

    def _hand_on(self, job_id: str, queue: str, keys: Sequence[str]) -> None:
        """Give what was not begun to a new job."""
        if not keys:
            return
        seen = [Seen(key, "inflight", job_id) for key in keys]
        new_id = f"rest-{uuid4().hex}"
        self._ledger.requeue(seen, queue=queue, job_id=new_id, now=self._clock())

    def _count(
        self,
        settlements: Sequence[Settlement],
        held: Sequence[bool],
        claims: Sequence[Claim],
        tally: _Tally,
    ) -> None:
        kinds = {claim.key: claim.kind for claim in claims}
        for item, written in zip(settlements, held, strict=True):
            outcome = Outcome(item.verdict.value) if written else Outcome.OVERTAKEN
            tally.add(outcome)
            self._metrics.handled.labels(kinds[item.key], outcome).inc()
            if outcome in {Outcome.DEAD, Outcome.RETRY}:
                _log.warning(f"event.{outcome.value}", event_key=item.key, reason=item.reason)


def _hand_back(claim: Claim, now: float) -> Settlement:
    return _retry(claim, HANDED_BACK, now)


def _retry(claim: Claim, reason: str, next_at: float) -> Settlement:
    return Settlement(claim.key, claim.fence, Verdict.RETRY, reason, next_at)
