"""The work of one job: claim its events, let handlers decide, write what they decided.

Each event is started, decided and settled on its own; its effects are written in the script
that settles it, and only while this worker's fence holds. So a job may run twice, be killed at
any point, or be overtaken, and every event still has its effect once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import uniform
from typing import Final
from uuid import uuid4

import structlog
from rq.timeouts import JobTimeoutException

from receiver.errors import EventError, NewerWireError
from receiver.event import Event, from_wire
from workers.consequences import Notices, RoutesAlerts, consequences
from workers.handlers import Context, Handler, Lookups, Policy
from workers.ledger.transitions import Claim, Ledger, Seen, Settlement, Verdict
from workers.metrics import Outcome, WorkerMetrics
from workers.self_alerts import dead_letter
from workers.settings import WorkerSettings

SLICE: Final = 64
HANDFUL: Final = 32
"""Events that are started in one round trip."""

PATIENCE: Final = 0.05
"""Seconds for which a decision may wait for its neighbours' before it is written."""

NEWER_WIRE_PATIENCE: Final = 3_600.0
NEWER_WIRE_DELAY: Final = 60.0
JITTER: Final = 0.2

WORKER_LOST: Final = "worker_lost"
BODY_MISSING: Final = "body_missing"
HANDLER_ERROR: Final = "handler_error"
HANDLER_TIMEOUT: Final = "handler_timeout"
HANDED_BACK: Final = "handed_back"

OUTCOMES: Final = {
    Verdict.DONE: Outcome.DONE,
    Verdict.RETRY: Outcome.RETRY,
    Verdict.BACK: Outcome.RETRY,
    Verdict.DEAD: Outcome.DEAD,
}
"""How each verdict is counted."""

_log = structlog.get_logger("workers.processing")


@dataclass(slots=True)
class _Tally:
    """What became of a job's events, for its canonical log line."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


class _Shift:
    """One slice at work: what is claimed and not settled, and what waits to be written."""

    def __init__(
        self, job_id: str, leased: float, tally: _Tally, claims: Mapping[str, Claim]
    ) -> None:
        self.job_id = job_id
        self.leased = leased
        self.tally = tally
        self.kinds = {key: claim.kind for key, claim in claims.items()}
        self.unsettled = dict(claims)
        self.pending: list[Settlement] = []


class Processor:
    """Processes the events of one job at a time; times are Unix seconds."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        handlers: Mapping[str, Handler],
        routing: RoutesAlerts,
        policy: Callable[[], Policy],
        synap: Lookups,
        noticing: Notices | None = None,
        metrics: WorkerMetrics,
        settings: WorkerSettings,
        stopping: Callable[[], bool],
        budget: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._handlers = handlers
        self._routing = routing
        self._policy = policy
        self._synap = synap
        self._noticing = noticing
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
        """Work through one slice, a handful of events to a round trip."""
        leased = self._clock()
        claims = self._ledger.claim(job_id, keys, now=leased, lease=self._settings.lease)
        shift = _Shift(job_id, leased, tally, {claim.key: claim for claim in claims})
        for some in self._handfuls(claims):
            self._work(shift, some, began)
        self._write(shift)

    def _handfuls(self, claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
        """Yield the claims a few at a time; an event on its last attempt starts alone.

        The attempt is counted before the handler runs. A worker that is lost costs those behind
        it in the handful an attempt that they never had, once: they come back in jobs of one.
        """
        last = self._settings.max_attempts - 1
        several: list[Claim] = []
        for claim in claims:
            if claim.attempts >= last:
                yield [claim]
            else:
                several.append(claim)
        for at in range(0, len(several), HANDFUL):
            yield several[at : at + HANDFUL]

    def _work(self, shift: _Shift, claims: Sequence[Claim], began: float) -> None:
        events: list[tuple[Claim, Event]] = []
        for claim in claims:
            now = self._clock()
            enough = self._enough(began)
            found = _hand_back(claim, now, Verdict.RETRY) if enough else self._open(claim, now)
            if isinstance(found, Settlement):
                shift.pending.append(found)
            else:
                events.append((claim, found))
        started = self._write(shift, [claim for claim, _ in events])
        written = self._clock()
        for (claim, event), ours in zip(events, started, strict=True):
            if not ours:
                shift.unsettled.pop(claim.key, None)
                shift.tally.add(Outcome.OVERTAKEN)
                continue
            if self._enough(began):
                shift.pending.append(_hand_back(claim, self._clock(), Verdict.BACK))
                continue
            shift.pending.append(self._attempt(claim, event))
            # What a handler decided does not wait for its neighbours when they are slow.
            if self._clock() - written > PATIENCE:
                self._write(shift)
                written = self._clock()

    def _write(self, shift: _Shift, starts: Sequence[Claim] = ()) -> list[bool]:
        """Write what is pending, count the starts, and keep the leases of the rest alive."""
        now, lease = self._clock(), self._settings.lease
        if not shift.pending and not starts:
            return []
        for item in shift.pending:
            shift.unsettled.pop(item.key, None)
        due = now - shift.leased > lease / 3
        written = self._ledger.settle(
            shift.pending,
            now=now,
            job_id=shift.job_id,
            lease=lease,
            starts=starts,
            renew=list(shift.unsettled.values()) if due else (),
        )
        shift.leased = now if due else shift.leased
        self._count(shift, written.settled)
        shift.pending = []
        return written.started

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
        deadline = began + self._settings.handler_timeout
        context = Context(now=began, deadline=deadline, policy=self._policy(), synap=self._synap)
        decision = self._handlers[claim.kind](event, context)
        effects = consequences(decision, self._routing, self._settings.key_prefix, now=began)
        if self._noticing is not None:
            effects += self._noticing.effects(decision.notices, began)
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

    def _count(self, shift: _Shift, held: Sequence[bool]) -> None:
        for item, written in zip(shift.pending, held, strict=True):
            outcome = OUTCOMES[item.verdict] if written else Outcome.OVERTAKEN
            shift.tally.add(outcome)
            self._metrics.handled.labels(shift.kinds[item.key], outcome).inc()
            if outcome in {Outcome.DEAD, Outcome.RETRY}:
                _log.warning(f"event.{outcome.value}", event_key=item.key, reason=item.reason)


def _hand_back(claim: Claim, now: float, verdict: Verdict) -> Settlement:
    return Settlement(claim.key, claim.fence, verdict, HANDED_BACK, now)


def _retry(claim: Claim, reason: str, next_at: float) -> Settlement:
    return Settlement(claim.key, claim.fence, Verdict.RETRY, reason, next_at)
