"""The admin port: alive, ready, metrics."""

from __future__ import annotations

from typing import Final, Protocol

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.metrics import Metrics
from receiver.watch import Findings, Level

MAX_SKEW: Final = 150.0
"""Seconds between our clock and Redis': half of what a timestamp may be ahead of us."""


class Promises(Protocol):
    """What the commit path knows about Redis."""

    @property
    def level(self) -> Level:
        """What an acknowledgement stands for now."""
        ...

    @property
    def findings(self) -> Findings | None:
        """The last look at Redis; None while it cannot be reached."""
        ...

    def ready(self) -> str | None:
        """Return why nothing can be accepted now, or None."""
        ...


class Health:
    """Says whether deliveries should be sent here; asks nobody, so it answers at once."""

    def __init__(self, promises: Promises) -> None:
        self._promises = promises
        self._stopping = False

    def stop(self) -> None:
        """Be not ready from now on."""
        self._stopping = True

    def failing(self) -> dict[str, str]:
        """Return what fails, by dependency; empty when ready."""
        found: dict[str, str] = {}
        if self._stopping:
            found["receiver"] = "stopping"
        problem = self._promises.ready()
        if problem is not None:
            found["redis"] = problem
        findings = self._promises.findings
        if findings is not None and abs(findings.skew) > MAX_SKEW:
            found["clock"] = (
                f"differs from Redis' by {findings.skew:.0f} s; events would be judged stale or "
                "dated ahead: set this machine's clock"
            )
        return found


class Admin:
    """Serves the three admin paths."""

    def __init__(self, health: Health, promises: Promises, metrics: Metrics) -> None:
        self._health = health
        self._promises = promises
        self._metrics = metrics

    async def livez(self, request: Request) -> Response:
        """Say that the event loop turns; touch nothing."""
        del request
        return _json(200, {"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Say whether deliveries should come, and if not, which dependency fails."""
        del request
        failing = self._health.failing()
        if failing:
            return _json(503, {"status": "not_ready", "failing": failing})
        return _json(200, {"status": "ready", "durability": self._promises.level.value})

    async def metrics(self, request: Request) -> Response:
        """Expose the metrics in Prometheus' text format."""
        del request
        self._metrics.set_level(self._promises.level.value)
        findings = self._promises.findings
        self._metrics.shedding.set(bool(findings and findings.shedding))
        text = generate_latest(self._metrics.registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


def create_admin(health: Health, promises: Promises, metrics: Metrics) -> Starlette:
    """Compose the admin port's application."""
    admin = Admin(health, promises, metrics)
    return Starlette(
        routes=[
            Route("/livez", admin.livez),
            Route("/readyz", admin.readyz),
            Route("/metrics", admin.metrics),
        ]
    )


def _json(status: int, content: dict[str, object]) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
