"""Composition: what the workers are made of, in one visible place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from redis import Redis

from receiver.broker import JOB_TIMEOUT, Keys
from workers.alerting.assembly import assemble
from workers.alerting.bursts import bursts_lua
from workers.alerting.groups import Groups, groups_lua
from workers.alerting.listing import AlertListing
from workers.alerting.notify import Dispatcher
from workers.configuration import Configuration, configuration
from workers.handlers import HANDLERS, Handler
from workers.housekeeping import Housekeeping
from workers.ledger.books import Books
from workers.ledger.operate import Operator
from workers.ledger.sweep import Sweep
from workers.ledger.transitions import Ledger
from workers.live import Live
from workers.metrics import WorkerMetrics
from workers.outbound import Outbound
from workers.processing import Processor
from workers.rotation import assembly as rotation
from workers.rotation.assembly import Rotations
from workers.rotation.book import rotate_lua
from workers.rounds import Rounds
from workers.settings import WorkerSettings
from workers.synap.book import book_lua
from workers.synap.desk import compose
from workers.synap.errors import ApiError

JOB_BUDGET: Final = JOB_TIMEOUT - 30.0
"""Seconds after which a job hands on what it has not begun, well before RQ would interrupt it."""

EXPIRER: Final = "synap-hooks"

_log = structlog.get_logger("workers.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A worker, composed; `sources` and `sweeps` are the tick's."""

    redis: Redis
    clock: Callable[[], float]
    outbound: Outbound
    ledger: Ledger
    books: Books
    groups: Groups
    processor: Processor
    dispatcher: Dispatcher
    rotations: Rotations
    sources: Mapping[str, Callable[[float], int]]
    sweeps: Mapping[str, Callable[[float], int]]


def build(
    settings: WorkerSettings,
    redis: Redis,
    metrics: WorkerMetrics,
    *,
    handlers: Mapping[str, Handler] = HANDLERS,
    stopping: Callable[[], bool] = lambda: False,
    hangups: Callable[[], int] = lambda: 0,
    clock: Callable[[], float] = time.time,
) -> App:
    """Compose a worker.

    Args:
        settings: the resolved settings.
        redis: a client of its own.
        metrics: what its work moves.
        handlers: what decides about each kind of event.
        stopping: says whether to begin nothing new.
        hangups: says how often a reload of the YAML file was asked for.
        clock: Unix seconds.

    Raises:
        DocumentError: the YAML file has problems; each is named with its line.
    """
    keys = Keys(settings.key_prefix)
    live = watched(settings, metrics, hangups)
    outbound = Outbound()
    alerting = assemble(
        redis,
        settings.key_prefix,
        lambda: live.current().alerting,
        outbound,
        metrics,
        ack=settings.ack,
        patience=settings.commit_timeout,
        lease=settings.lease,
        clock=clock,
    )
    ledger = ledger_of(settings, redis)
    listing = AlertListing(redis, keys.prefix)
    rotations = rotation.assemble(
        redis,
        keys,
        lambda: live.current().rotation,
        ledger=ledger,
        routing=alerting.groups,
        metrics=metrics,
        fragments=[groups_lua()],
        api_url=settings.api_url,
        incidents=lambda instance_id: listing.critical(instance_id, clock()),
        clock=clock,
    )
    books = Books(redis, keys)
    synap = compose(
        settings,
        redis,
        lambda: live.current().guard,
        lambda: live.current().api,
        outbound=outbound,
        note=noting(metrics),
        clock=clock,
    )
    processor = Processor(
        ledger=ledger,
        handlers=handlers,
        routing=alerting.groups,
        policy=lambda: live.current().policy,
        synap=synap.lookup,
        noticing=rotations.noticing,
        metrics=metrics,
        settings=settings,
        stopping=stopping,
        budget=JOB_BUDGET,
        clock=clock,
    )
    rounds = Rounds(synap.book, ledger, alerting.groups, lambda: live.current().policy)
    housekeeping = Housekeeping(
        redis,
        keys,
        ledger=ledger,
        routing=alerting.groups,
        expirer=operator(settings, redis, ledger, actor=EXPIRER),
        dead_memory_share=settings.dead_memory_share,
    )
    return App(
        redis=redis,
        clock=clock,
        outbound=outbound,
        ledger=ledger,
        books=books,
        groups=alerting.groups,
        processor=processor,
        dispatcher=alerting.dispatcher,
        rotations=rotations,
        sources={
            "retries": ledger.enqueue_due,
            "alerting": alerting.source.enqueue_due,
            "rotation": rotations.book.enqueue_due,
            "config": Doubts(live).tell,
            "failures": rounds.sum_up,
        },
        sweeps={
            "sweep": Sweep(redis, keys, ledger, grace=settings.sweep_grace).run,
            "audit": books.audit,
            "housekeeping": housekeeping.run,
            "schedule": rotations.schedule.run,
            "retention": rounds.miss,
        },
    )


class Doubts:
    """Says what a configuration probably does not mean: each one once, by the tick alone."""

    def __init__(self, live: Live[Configuration]) -> None:
        self._live = live
        self._told: Configuration | None = None

    def tell(self, _: float) -> int:
        """Look at the file, and log the doubts about it if it is another; return how many."""
        current = self._live.current()
        if current is self._told:
            return 0
        self._told = current
        for warning in current.alerting.warnings:
            _log.warning("config.doubtful", problem=str(warning))
        return len(current.alerting.warnings)


def watched(
    settings: WorkerSettings, metrics: WorkerMetrics, hangups: Callable[[], int]
) -> Live[Configuration]:
    """Return what the YAML file says, read again when it changes or somebody asks."""
    path = Path(settings.config) if settings.config is not None else None
    return Live(lambda: configuration(settings), path, metrics, asked=hangups)


def noting(metrics: WorkerMetrics) -> Callable[[str, ApiError | None], None]:
    """Return what counts each call of Synap's API, and logs each that failed with its trace."""

    def note(operation: str, error: ApiError | None) -> None:
        metrics.api_calls.labels(operation, "ok" if error is None else error.reason).inc()
        if error is not None:
            _log.warning(
                "api.failed",
                operation=operation,
                reason=error.reason,
                code=error.code,
                status=error.status,
                correlation_id=error.correlation_id,
            )

    return note


def ledger_of(settings: WorkerSettings, redis: Redis) -> Ledger:
    """Return the ledger with every effect that a decision may have."""
    return Ledger(
        redis,
        Keys(settings.key_prefix),
        dedup_window=settings.dedup_window,
        fragments=[groups_lua(), bursts_lua(), book_lua(), rotate_lua()],
    )


def operator(settings: WorkerSettings, redis: Redis, ledger: Ledger, *, actor: str) -> Operator:
    """Return the actions of a person, who is named in the history."""
    return Operator(
        redis,
        Keys(settings.key_prefix),
        ledger,
        actor=actor,
        dedup_window=settings.dedup_window,
    )


class _Installed:
    """The app of this process, which RQ's job functions cannot be handed."""

    app: App | None = None


def install(app: App) -> None:
    """Make an app the one that this process' job functions use."""
    _Installed.app = app


def current() -> App:
    """Return the app that was installed."""
    assert _Installed.app is not None, "wiring.install comes before the first job"
    return _Installed.app
