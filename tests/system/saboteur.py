"""`python -m tests.system.saboteur QUEUE`: a worker that kills itself at a chosen event.

Events whose `document_id` begins with `kill` end the worker within their handler, `late` ones
after it has decided and before anything is written; `-once` in it spares the second attempt.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from redis import Redis

from receiver import broker, logs
from receiver.event import Event
from receiver.settings import load
from workers import jobs, wiring
from workers.handlers import HANDLERS, Context, Decision, Handler
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.settings import WorkerSettings
from workers.worker import serve


def sabotaged(handler: Handler, redis: Redis) -> Handler:
    """Return a handler that kills its process before or after the real one has decided."""

    def decide(event: Event, context: Context) -> Decision:
        mark = str(event.data.get("document_id", ""))
        if mark.startswith("kill"):
            end(mark, redis)
        decision = handler(event, context)
        if mark.startswith("late"):
            end(mark, redis)
        return decision

    return decide


def end(mark: str, redis: Redis) -> None:
    """Kill this process, unless the mark asks for once and it has happened."""
    if "-once" in mark and redis.incr(f"sabotage:{mark}") > 1:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def main(queue: str, environ: Mapping[str, str]) -> int:
    """Work on one queue."""
    settings = load(WorkerSettings, environ)
    logs.configure(settings.log_level, settings.log_format)
    stop = Stop().listen()
    redis = broker.connect(settings)
    metrics = WorkerMetrics(CollectorRegistry())
    handlers = {kind: sabotaged(handler, redis) for kind, handler in HANDLERS.items()}
    app = wiring.build(settings, redis, metrics, handlers=handlers, stopping=lambda: stop.requested)
    wiring.install(app)
    functions = (jobs.process_events, jobs.flush_groups, jobs.deliver)
    return serve(queue, broker.connect(settings), functions, metrics, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ))
