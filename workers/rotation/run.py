"""The machine: claim a rotation, take its step, write where that leads, and so on until it waits.

A worker may be killed after any call: the record says what was intended, each step asks what is
done already, and whoever comes next goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from workers.alert import Alert
from workers.ledger.transitions import Effect
from workers.metrics import WorkerMetrics
from workers.rotation import alerts, moves, pace
from workers.rotation.book import LEASE_SECONDS, Book, Writing
from workers.rotation.config import Credential, RotationConfig
from workers.rotation.errors import (
    OvertakenError,
    PermanentError,
    PortError,
    Reason,
    TransientError,
)
from workers.rotation.moves import ACTOR
from workers.rotation.record import Entry, Rotation
from workers.rotation.state import TERMINAL, Outcome, State, move
from workers.rotation.steps import STEPS
from workers.rotation.work import Hand, Result, Work, World, ended, failed, hold, retry

HELD_SECONDS: Final = 100.0
"""How long a job goes on trying to store the new key; well below what RQ gives it."""

MOST_LOST: Final = 8
"""How many workers in a row may die at one step before a person has to look why."""

MOST_STEPS: Final = 64
"""How many steps one job takes before it leaves the rest to the next."""


_HOLDING: Final = frozenset({State.MINTED, State.PREVERIFIED})

_log = structlog.get_logger("workers.rotation")


class RoutesAlerts(Protocol):
    """Whatever turns alerts into the writes that bring them to on-call."""

    def effects(self, alerts: Sequence[Alert], now: float) -> list[Effect]:
        """Return the writes; `now` is in Unix seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Machine:
    """Carries rotations on; `clock` gives Unix seconds.

    A step that fails while this process holds the new key is tried again here, for as long as a job
    may take: with the process the key would be lost. Without `routing`, as in a person's shell, it
    tells nobody: the worker does at its next look.
    """

    book: Book
    configuration: Callable[[], RotationConfig]
    world: World
    routing: RoutesAlerts | None
    metrics: WorkerMetrics
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @property
    def config(self) -> RotationConfig:
        """What the configuration says now."""
        return self.configuration()

    def advance(self, rotation_id: str) -> None:
        """Carry one rotation on until it waits; nothing happens if it ended or is held."""
        held = self.book.claim(rotation_id, self.clock())
        if held is None:
            return
        try:
            self.carry_on(held, Hand())
        except OvertakenError:
            _log.warning("rotation.overtaken", rotation_id=rotation_id)

    def carry_on(
        self,
        held: Rotation,
        hand: Hand,
        *,
        actor: str = ACTOR,
        stop_at: frozenset[State] = frozenset(),
    ) -> Rotation:
        """Take one step after the other; `stop_at` leaves what follows those states to others.

        Raises:
            OvertakenError: another worker has taken it over.
        """
        until = self.clock() + HELD_SECONDS
        for left in reversed(range(MOST_STEPS)):
            result = self.step(held, hand)
            keep = hand.value is not None and held.state in _HOLDING and self.clock() < until
            held = self.write(
                held, result, actor=actor, release=not left, keep=keep, stop_at=stop_at
            )
            if not held.lease:
                break
            self.sleep(max(0.0, held.due_at - self.clock()))
        return held

    def work(self, held: Rotation, credential: Credential, hand: Hand) -> Work:
        """Return what a step of this rotation is given now."""
        return Work(
            rotation=held,
            credential=credential,
            world=self.world,
            facts=self.book.facts(held.credential),
            hand=hand,
            now=self.clock(),
        )

    def step(self, held: Rotation, hand: Hand) -> Result:
        """Take the step of the state that a rotation is in."""
        credential = self.config.named(held.credential)
        if held.state is State.PAUSED:
            return STEPS[State.PAUSED](self.work(held, credential or _absent(held), hand))
        if held.lost >= MOST_LOST:
            text = f"{held.lost} workers in a row died at this step"
            return hold(Reason.WORKER_LOST, text)
        if credential is None or not credential.rotates:
            return hold(Reason.NOT_CONFIGURED, "not configured for rotation any more")
        try:
            result = STEPS[held.state](self.work(held, credential, hand))
        except RedisError:
            raise
        except Exception as error:  # noqa: BLE001  # what an SDK raises must not end in a loop
            result = _read(held, error)
        impatient = result.outcome in {Outcome.WAIT, Outcome.RETRY} and not result.fresh
        if impatient and pace.spent(held.state, entered_at=held.entered_at, now=self.clock()):
            reason = result.reason or _SPENT.get(held.state, Reason.PATIENCE_SPENT)
            return replace(result, outcome=Outcome.SPENT, reason=reason)
        return result

    def write(
        self,
        held: Rotation,
        result: Result,
        *,
        actor: str = ACTOR,
        release: bool = False,
        keep: bool = False,
        stop_at: frozenset[State] = frozenset(),
    ) -> Rotation:
        """Write where an outcome leads, with history, facts and alerts; return what was written.

        Raises:
            OvertakenError: another worker has taken it over; nothing was written.
        """
        now = self.clock()
        moved = move(held.state, result.outcome, back=held.back)
        if not moved.valid:
            _log.error("rotation.astray", state=held.state, outcome=result.outcome)
        after = moves.after(held, moved, result, now)
        if self.routing is None and release:
            after = replace(after, due_at=now)
        ends = release or after.state in TERMINAL or after.state in stop_at
        waits = ends or (after.due_at > now and not (keep and after.state is held.state))
        after = replace(after, lease=0.0 if waits else now + LEASE_SECONDS)
        after, entries = moves.noted(held, after, result, actor, now)
        after = self._save(held, after, entries, now)
        if after.state is not held.state:
            self._tell(held, after, result, now)
        return after

    def _save(
        self, held: Rotation, after: Rotation, entries: Sequence[Entry], now: float
    ) -> Rotation:
        facts = moves.facts(held, after, self.book.facts(held.credential), now)
        writing = Writing(entries=entries, facts=facts)
        if self.routing is not None:
            credential = self.config.named(held.credential)
            told, found = alerts.report(held, after, credential, now)
            after = replace(after, told=told)
            found += alerts.change(held, after, now)
            incidents = self.book.incidents(held.credential) if after.state is State.DONE else {}
            for incident in incidents.values():
                found += alerts.over(incident, now)
            effects = self.routing.effects(found, now)
            writing = replace(writing, over=tuple(incidents), effects=effects)
        self.book.save(held, after, writing, now)
        return after

    def _tell(self, held: Rotation, after: Rotation, result: Result, now: float) -> None:
        self.metrics.rotation_steps.labels(held.state).observe(max(0.0, now - held.entered_at))
        _log.info(
            "rotation.moved",
            rotation_id=held.id,
            credential=held.credential,
            source=held.state,
            target=after.state,
            outcome=result.outcome,
            reason=result.reason,
        )


_SPENT: Final[Mapping[State, Reason]] = {
    State.AWAITING_KEY: Reason.NO_KEY_IN_TIME,
    State.REVOKING: Reason.NOT_REVOKED_IN_TIME,
    State.REVOKED: Reason.NOT_REVOKED_IN_TIME,
}


def _absent(held: Rotation) -> Credential:
    return Credential(name=held.credential)


def _read(held: Rotation, error: Exception) -> Result:
    """Say what an error of a step means; only a port's own errors are foreseen."""
    if isinstance(error, TransientError):
        return retry(error.reason, str(error), after=error.after)
    if isinstance(error, PermanentError) and error.reason == Reason.KEY_LOST:
        return ended(Outcome.HOLD, error.reason, str(error))
    if isinstance(error, PermanentError):
        return failed(Reason(error.reason), str(error))
    if isinstance(error, PortError):
        return hold(Reason(error.reason), str(error))
    if isinstance(error, JobTimeoutException):
        return retry(Reason.TIMEOUT, "the step took too long")
    # the text of an error that nobody foresaw may hold anything: only its type is kept
    _log.exception("rotation.broke", rotation_id=held.id, state=held.state)
    return retry(Reason.BUG, type(error).__name__)
