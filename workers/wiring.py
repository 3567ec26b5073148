"""Composition: what the workers are made of, in one visible place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis import Redis

from receiver.broker import JOB_TIMEOUT, Keys
from workers.alerting.config import AlertingConfig, default_config, read
from workers.alerting.due import DueSource
from workers.alerting.groups import Groups, groups_lua
from workers.alerting.notify import Dispatcher
from workers.document import load
from workers.handlers import HANDLERS, Handler
from workers.housekeeping import Housekeeping
from workers.ledger.books import Books
from workers.ledger.operate import Operator
from workers.ledger.sweep import Sweep
from workers.ledger.transitions import Ledger
from workers.metrics import WorkerMetrics
from workers.outbound import Outbound
from workers.processing import Processor
from workers.settings import WorkerSettings

JOB_BUDGET: Final = JOB_TIMEOUT - 30.0
"""Seconds after which a job hands on what it has not begun, well before RQ would interrupt it."""

EXPIRER: Final = "synap-hooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A worker, composed; `sources` and `sweeps` are the tick's."""

    redis: Redis
    clock: Callable[[], float]
    ledger: Ledger
    books: Books
    groups: Groups
    processor: Processor
    dispatcher: Dispatcher
    sources: Mapping[str, Callable[[float], int]]
    sweeps: Mapping[str, Callable[[float], int]]


def build(
    settings: WorkerSettings,
    redis: Redis,
    metrics: WorkerMetrics,
    *,
    handlers: Mapping[str, Handler] = HANDLERS,
    stopping: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
) -> App:
    """Compose a worker.

    Args:
        settings: the resolved settings.
        redis: a client of its own.
        metrics: what its work moves.
        handlers: what decides about each kind of event.
        stopping: says whether to begin nothing new.
        clock: Unix seconds.

    Raises:
        DocumentError: the YAML file has problems; each is named with its line.
    """
    keys = Keys(settings.key_prefix)
    config = alerting_config(settings)
    ledger = Ledger(redis, keys, dedup_window=settings.dedup_window, fragments=[groups_lua()])
    books = Books(redis, keys)
    groups = Groups(settings.key_prefix, config.route)
    processor = Processor(
        ledger=ledger,
        handlers=handlers,
        routing=groups,
        metrics=metrics,
        settings=settings,
        stopping=stopping,
        budget=JOB_BUDGET,
        clock=clock,
    )
    housekeeping = Housekeeping(
        redis,
        keys,
        ledger=ledger,
        routing=groups,
        expirer=operator(settings, redis, ledger, actor=EXPIRER),
        dead_memory_share=settings.dead_memory_share,
    )
    return App(
        redis=redis,
        clock=clock,
        ledger=ledger,
        books=books,
        groups=groups,
        processor=processor,
        dispatcher=Dispatcher(redis, settings.key_prefix, config, Outbound(), metrics, clock=clock),
        sources={
            "retries": ledger.enqueue_due,
            "alerting": DueSource(redis, settings.key_prefix).enqueue_due,
        },
        sweeps={
            "sweep": Sweep(redis, keys, ledger, grace=settings.sweep_grace).run,
            "audit": books.audit,
            "housekeeping": housekeeping.run,
        },
    )


def alerting_config(settings: WorkerSettings) -> AlertingConfig:
    """Read the `alerting:` section, or return the default routes when there is no file.

    Raises:
        DocumentError: the YAML file has problems; each is named with its line.
    """
    routing_key, slack_url = settings.pagerduty_routing_key, settings.slack_webhook_url
    if settings.config is None:
        return default_config(routing_key, slack_url)
    document = load(Path(settings.config))
    section = document.section("alerting")
    document.close()
    if section is None:
        document.findings.raise_if_any()
        return default_config(routing_key, slack_url)
    return read(section, routing_key=routing_key, slack_url=slack_url)


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
