"""Composition: what the edge is made of, in one visible place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route, Router

from receiver.broker import connect_async
from receiver.intake import CommitReport, Intake
from receiver.keyring import Keyring
from receiver.logs import Lines
from receiver.metrics import Metrics
from receiver.settings import ReceiverSettings
from receiver.web.health import Health, create_admin
from receiver.web.journal import Journal
from receiver.web.limits import BodyReader, Limits
from receiver.web.webhook import DEFAULT_PATH, Commits, NotFound, Webhook


@dataclass(frozen=True, slots=True)
class Edge:
    """The receiver, composed: two applications and what starts and stops with them.

    `app` runs the edge by itself under any ASGI server with lifespan support; a server without
    it enters `running` around serving. `webhook` takes whole deliveries without ASGI.
    """

    app: Router
    webhook: Webhook
    admin: Starlette
    health: Health
    running: Callable[[], contextlib.AbstractAsyncContextManager[None]]


def create_edge(
    settings: ReceiverSettings,
    lines: Lines,
    *,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = time.time,
) -> Edge:
    """Compose the edge.

    Args:
        settings: the resolved settings.
        lines: where canonical lines go.
        registry: where metrics are declared; one of its own if none is given.
        clock: Unix seconds.

    Raises:
        SettingsError: there is no usable set of signing keys.
    """
    metrics = Metrics(registry or CollectorRegistry())
    keyring = Keyring(settings.key_source, metrics)
    redis = connect_async(settings)
    intake = Intake(redis, settings, on_commit=commit_observer(metrics), clock=clock)
    health = Health(intake)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        await intake.start()
        watching = asyncio.create_task(keyring.watch(), name="keyring")
        try:
            yield
        finally:
            watching.cancel()
            await intake.stop()
            await redis.aclose()

    journal = Journal(metrics, lines, clock=clock)
    webhook = create_webhook(settings, keyring, intake, metrics, journal, clock=clock)
    app = create_app(webhook, journal, running=running)
    return Edge(app, webhook, create_admin(health, intake, metrics), health, running)


def create_webhook(
    settings: ReceiverSettings,
    keyring: Keyring,
    commits: Commits,
    metrics: Metrics,
    journal: Journal,
    *,
    clock: Callable[[], float] = time.time,
) -> Webhook:
    """Compose the webhook around something that commits."""
    reader = BodyReader(Limits(settings.max_body_bytes, settings.body_timeout))
    metrics.body_bytes_pending.set_function(lambda: reader.pending_bytes)
    return Webhook(
        keyring,
        commits,
        reader,
        journal,
        freshness_window=settings.freshness_window,
        clock=clock,
    )


def create_app(
    webhook: Webhook,
    journal: Journal,
    *,
    running: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> Router:
    """Compose the public application.

    A router is an application by itself; Starlette's two error middlewares around it would catch
    what these routes never raise.
    """
    return Router(
        [Route(DEFAULT_PATH, webhook), Route(DEFAULT_PATH + "/{endpoint}", webhook)],
        redirect_slashes=False,
        default=NotFound(journal),
        lifespan=lambda _: running(),
    )


def commit_observer(metrics: Metrics) -> Callable[[CommitReport], None]:
    """Return what counts a finished commit."""

    def observe(report: CommitReport) -> None:
        metrics.commit_seconds.observe((report.seconds,))
        metrics.commit_events.observe((report.events,))
        if report.shortage is not None:
            metrics.commit_failures.labels(report.shortage.value).inc()

    return observe
