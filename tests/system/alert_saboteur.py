"""`python -m tests.system.alert_saboteur POINT`: a notifications worker that kills itself.

It dies with SIGKILL at the given point, counted over its commands to Redis and its calls to
targets: odd numbers before one, even ones right after it, when its answer is lost.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace

from prometheus_client import CollectorRegistry

from receiver import broker, logs
from receiver.broker import NOTIFICATIONS
from receiver.settings import load
from tests.workers.alerting.mortal import Fate, mortal_outbound, mortal_redis
from workers import jobs, wiring
from workers.alerting.assembly import assemble
from workers.configuration import configuration
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.settings import WorkerSettings
from workers.worker import serve


class Doom(Fate):
    """A fate without an exception: the process is gone at once, as the kernel does it."""

    def step(self) -> None:
        """Pass one point, or end the process."""
        self.passed += 1
        if self.passed == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def main(point: int, environ: Mapping[str, str]) -> int:
    """Work on the queue of notifications."""
    settings = load(WorkerSettings, environ)
    logs.configure(settings.log_level, settings.log_format)
    stop = Stop().listen()
    metrics = WorkerMetrics(CollectorRegistry())
    redis = broker.connect(settings)
    config = configuration(settings).alerting
    doom = Doom(point)
    alerting = assemble(
        mortal_redis(redis, doom),
        settings.key_prefix,
        lambda: config,
        mortal_outbound(doom),
        metrics,
        fsync=True,
        patience=settings.commit_timeout,
        lease=settings.lease,
    )
    app = wiring.build(settings, redis, metrics, stopping=lambda: stop.requested)
    wiring.install(replace(app, dispatcher=alerting.dispatcher))
    functions = (jobs.flush_groups, jobs.deliver)
    return serve(NOTIFICATIONS, broker.connect(settings), functions, metrics, stop)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), os.environ))
