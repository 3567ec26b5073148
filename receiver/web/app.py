"""Composition: what the edge is made of, in one visible place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.broker import connect_async
from receiver.intake import CommitReport, Intake
from receiver.keyring import Keyring
from receiver.logs import Lines
from receiver.metrics import Metrics
from receiver.settings import ReceiverSettings
from receiver.web.health import Health, create_admin
from receiver.web.journal import Journal
from receiver.web.limits import BodyReader, Limits
from receiver.web.webhook import Commits, NotFound, Webhook

PATH = "/webhooks/synap"


@dataclass(frozen=True, slots=True)
class Edge:
    """The receiver, composed: two applications and what starts and stops with them.

    `app` runs the edge by itself under any ASGI server with lifespan support; a server without
    it enters `running` around serving.
    """

    app: Router
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

    app = create_app(settings, keyring, intake, metrics, lines, clock=clock, running=running)
    return Edge(app, create_admin(health, intake, metrics), health, running)


def create_app(
    settings: ReceiverSettings,
    keyring: Keyring,
    commits: Commits,
    metrics: Metrics,
    lines: Lines,
    *,
    clock: Callable[[], float] = time.time,
    running: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> Router:
    """Compose the public application around something that commits."""
    reader = BodyReader(Limits(settings.max_body_bytes, settings.body_timeout))
    metrics.body_bytes_pending.set_function(lambda: reader.pending_bytes)
    journal = Journal(metrics, lines, clock=clock)
    webhook = Webhook(
        keyring,
        commits,
        reader,
        journal,
        freshness_window=settings.freshness_window,
        clock=clock,
    )
    # A router is an application by itself; Starlette's two error middlewares around it would cost
    # a fifth of each request, to catch what these three never raise.
    return Doorstep(
        webhook,
        [Route(PATH, webhook), Route(PATH + "/{endpoint}", webhook)],
        redirect_slashes=False,
        default=NotFound(journal),
        lifespan=lambda _: running(),
    )


class Doorstep(Router):
    """A router that knows its busiest path by heart: matching it costs as much as verifying."""

    def __init__(self, busiest: ASGIApp, routes: Sequence[BaseRoute], **options: Any) -> None:
        super().__init__(routes, **options)
        self._busiest = busiest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await self._busiest(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def commit_observer(metrics: Metrics) -> Callable[[CommitReport], None]:
    """Return what counts a finished commit."""

    def observe(report: CommitReport) -> None:
        metrics.commit_seconds.observe((report.seconds,))
        metrics.commit_events.observe((len(report.batch),))
        if report.shortage is not None:
            metrics.commit_failures.labels(report.shortage.value).inc()

    return observe
