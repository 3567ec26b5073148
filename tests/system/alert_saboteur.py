"""`python -m tests.system.alert_saboteur POINTS`: workers on notifications that kill themselves.

One after the other, each dies with SIGKILL a point later than the one before. The points are its
commands to Redis and its calls to targets: it dies right after one, when the answer is lost.
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
from tests.processes import end_with_parent
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


def main(points: int, environ: Mapping[str, str]) -> int:
    """Have a worker die at each point; return 0 when all of them did."""
    settings = load(WorkerSettings, environ)
    logs.configure(settings.log_level, settings.log_format)
    for point in range(1, points + 1):
        worker = os.fork()
        if worker == 0:
            end_with_parent()
            os._exit(work(point, settings))
        _, status = os.waitpid(worker, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            return 1
    return 0


def work(point: int, settings: WorkerSettings) -> int:
    """Work on the queue of notifications up to a point."""
    stop = Stop().listen()
    metrics = WorkerMetrics(CollectorRegistry())
    redis = broker.connect(settings)
    config = configuration(settings).alerting
    doom = Doom(2 * point)  # a fate counts before and after
    alerting = assemble(
        mortal_redis(redis, doom),
        settings.key_prefix,
        lambda: config,
        mortal_outbound(doom),
        metrics,
        ack="fsync",
        patience=settings.commit_timeout,
        lease=settings.lease,
    )
    app = wiring.build(settings, redis, metrics, stopping=lambda: stop.requested)
    wiring.install(replace(app, dispatcher=alerting.dispatcher))
    functions = (jobs.flush_groups, jobs.deliver)
    return serve(NOTIFICATIONS, broker.connect(settings), functions, metrics, stop)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), os.environ))
