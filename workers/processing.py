"""The work of one job: claim its events, let handlers decide, write what they decided.

Each event is started, decided and settled on its own; its effects are written in the script
that settles it, and only while this worker's fence holds. So a job may run twice, be killed at
any point, or be overtaken, and every event still has its effect once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import uniform
from typing import Final
from uuid import uuid4

import structlog
from rq.timeouts import JobTimeoutException

from receiver.errors import EventError, NewerWireError
from receiver.event import Event, from_wire
from workers.consequences import Consequences, Notices, RoutesAlerts
from workers.handlers import Context, Handler, Lookups, Policy
from workers.ledger.transitions import Claim, Ledger, Seen, Settlement, Verdict, Written
from workers.metrics import Outcome, WorkerMetrics
from workers.self_alerts import dead_letter
from workers.settings import WorkerSettings
from workers.shift import Begun, Shift, Tally

SLICE: Final = 64
HANDFUL: Final = 32
"""Events that are started in one round trip."""

AHEAD: Final = 16
"""Decisions that are enough to be written while the next ones are made."""

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
    Verdict.DEAD: Outcome.DEAD,
}
"""How each verdict is counted."""

_log = structlog.get_logger("workers.processing")


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
        self._consequences = Consequences(routing, noticing, settings.key_prefix)
        self._metrics = metrics
        self._settings = settings
        self._stopping = stopping
        self._budget = budget
        self._clock = clock

    def run(self, job_id: str, queue: str, keys: Sequence[str]) -> None:
        """Process the job's events, and hand back what there was no time for."""
        began = self._clock()
        tally = Tally()
        position = 0
        while position < len(keys) and not self._enough(began):
            some = keys[position : position + SLICE]
            position += len(some)
            self._slice(job_id, some, began, tally, last=position == len(keys))
        if position < len(keys):
            self._hand_on(job_id, queue, keys[position:])
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

    def _slice(
        self, job_id: str, keys: Sequence[str], began: float, tally: Tally, *, last: bool
    ) -> None:
        """Work through one slice, a handful of events to a round trip; the first starts at once."""
        leased = self._clock()
        claims = self._ledger.claim(
            job_id,
            keys,
            now=leased,
            lease=self._settings.lease,
            starting=HANDFUL,
            alone=self._settings.max_attempts - 1,
        )
        shift = Shift(job_id, leased, tally, {claim.key: claim for claim in claims})
        try:
            for some in self._handfuls(claims):
                self._work(shift, some, began)
            self._write(shift, over=last)
            self._finish(shift)
        finally:
            shift.end()

    def _handfuls(self, claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
        """Yield the claims a few at a time; an event on its last attempt starts alone.

        The attempt is counted before the handler runs. A worker that is lost costs those behind
        it in the handful an attempt that they never had, once: they come back in jobs of one.
        """
        last = self._settings.max_attempts - 1
        yield [claim for claim in claims if claim.started]
        waiting = [claim for claim in claims if not claim.started]
        yield from ([claim] for claim in waiting if claim.attempts >= last)
        several = [claim for claim in waiting if claim.attempts < last]
        for at in range(0, len(several), HANDFUL):
            yield several[at : at + HANDFUL]

    def _work(self, shift: Shift, claims: Sequence[Claim], began: float) -> None:
        events: list[tuple[Claim, Event]] = []
        for claim in claims:
            now = self._clock()
            enough = self._enough(began)
            found = _waits(claim, HANDED_BACK, now) if enough else self._open(claim, now)
            if isinstance(found, Settlement):
                shift.pending.append(found._replace(untried=claim.started))
            else:
                events.append((claim, found))
        overtaken = self._start(shift, [claim for claim, _ in events if not claim.started])
        written = self._clock()
        for left, (claim, event) in zip(reversed(range(len(events))), events, strict=True):
            if claim.key in overtaken:
                shift.unsettled.pop(claim.key, None)
                shift.tally.add(Outcome.OVERTAKEN)
                continue
            if self._enough(began):
                given_back = _waits(claim, HANDED_BACK, self._clock())
                shift.pending.append(given_back._replace(untried=True))
                continue
            shift.pending.append(self._attempt(shift, claim, event))
            # What a handler decided does not wait for its neighbours when they are slow or many.
            many = left > 0 and len(shift.pending) >= AHEAD
            if many or self._clock() - written > PATIENCE:
                self._write(shift)
                written = self._clock()

    def _start(self, shift: Shift, claims: Sequence[Claim]) -> set[str]:
        """Count the starts of those that were not started with their claim; return whose is not."""
        if not claims:
            return set()
        self._write(shift, claims)
        started = self._finish(shift)
        return {claim.key for claim, ours in zip(claims, started, strict=True) if not ours}

    def _write(self, shift: Shift, starts: Sequence[Claim] = (), *, over: bool = False) -> None:
        """Begin to write what is pending, count the starts, and keep the rest's leases alive.

        Redis writes it while this process goes on; what was begun before is finished first.
        """
        if not shift.pending and not starts and not over:
            return
        self._finish(shift)
        now, lease = self._clock(), self._settings.lease
        for item in shift.pending:
            shift.unsettled.pop(item.key, None)
        due = now - shift.leased > lease / 3
        settling = self._ledger.settle(
            shift.pending,
            now=now,
            job_id=shift.job_id,
            lease=lease,
            starts=starts,
            renew=list(shift.unsettled.values()) if due else (),
            over=over,
        )
        shift.begun = Begun(settling, shift.pending)
        shift.leased = now if due else shift.leased
        shift.pending = []

    def _finish(self, shift: Shift) -> list[bool]:
        """Wait until what was begun is written; return which of its starts were ours."""
        if shift.begun is None:
            return []
        written = shift.begun.settling.written()
        items, shift.begun = shift.begun.items, None
        self._count(shift, items, written)
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
            return _waits(claim, error.reason, now + NEWER_WIRE_DELAY)

    def _attempt(self, shift: Shift, claim: Claim, event: Event) -> Settlement:
        """Let the handler decide; whatever goes wrong is the end of this attempt only."""
        try:
            return self._decide(shift, claim, event)
        except JobTimeoutException:
            return self._failed(claim, HANDLER_TIMEOUT)
        except Exception:  # noqa: BLE001  # a handler's failure is its event's, not the job's
            _log.exception("handler.broke", kind=claim.kind, event_key=claim.key)
            return self._failed(claim, HANDLER_ERROR)

    def _decide(self, shift: Shift, claim: Claim, event: Event) -> Settlement:
        began = self._clock()
        deadline = began + self._settings.handler_timeout
        context = Context(now=began, deadline=deadline, policy=self._policy(), synap=self._synap)
        decision = self._handlers[claim.kind](event, context)
        effects = self._consequences.of(decision, began)
        if decision.burst is not None:
            shift.bursts[claim.key] = decision.burst
        self._metrics.handler_seconds.labels(claim.kind).observe(self._clock() - began)
        return Settlement(claim.key, claim.fence, Verdict.DONE, decision.summary, effects=effects)

    def _failed(self, claim: Claim, reason: str) -> Settlement:
        attempts = claim.attempts + 1
        if attempts >= self._settings.max_attempts:
            return self._dead(claim, reason)
        return _waits(claim, reason, self._clock() + self._delay(attempts))

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
        """Give what was not begun to a new job, and let go of this one."""
        seen = [Seen(key, "inflight", job_id) for key in keys]
        new_id = f"rest-{uuid4().hex}"
        self._ledger.requeue(seen, queue=queue, job_id=new_id, now=self._clock())
        self._ledger.release_job(job_id)

    def _count(self, shift: Shift, items: Sequence[Settlement], written: Written) -> None:
        fates = zip(items, written.settled, written.answered, strict=True)
        for item, settled, answered in fates:
            outcome = OUTCOMES[item.verdict] if settled else Outcome.OVERTAKEN
            shift.tally.add(outcome)
            self._metrics.handled.labels(shift.kinds[item.key], outcome).inc()
            if outcome in {Outcome.DEAD, Outcome.RETRY}:
                _log.warning(f"event.{outcome.value}", event_key=item.key, reason=item.reason)
            if answered:
                self._consequences.raised(shift.bursts[item.key])


def _waits(claim: Claim, reason: str, next_at: float) -> Settlement:
    return Settlement(claim.key, claim.fence, Verdict.RETRY, reason, next_at)
