"""`python -m workers`: the supervisor, or with an option one of the processes that it starts."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, disable_created_metrics
from redis import Redis

from receiver import broker, logs
from receiver.broker import QUEUES, Keys
from receiver.errors import SettingsError
from receiver.settings import load
from workers import jobs, wiring
from workers.admin import AdminServer, Probes, routes
from workers.configuration import problems
from workers.exposition import Exposition
from workers.gauges import StoreCollector
from workers.lifeline import Hangup, Stop, die_with
from workers.metrics import TICK, SupervisorMetrics, WorkerMetrics
from workers.settings import WorkerSettings
from workers.supervisor import Supervisor, spawn_module
from workers.tick import Lease, Tick
from workers.worker import serve

BAD_SETTINGS = 2
PROBE_SECONDS = 2.0

_log = structlog.get_logger("workers")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the role that the arguments name; return the exit status.

    Returns:
        0 when asked to stop, 1 when a child lost Redis, 2 when the settings or the YAML file
        have problems, each of which stands on standard error.
    """
    options = _options(argv)
    if options.parent is not None:
        die_with(options.parent)
    stop, hangup = Stop().listen(), Hangup().listen()
    try:
        settings = load(WorkerSettings, environ, further=problems)
        logs.configure(settings.log_level, settings.log_format)
        if options.queue is not None:
            return work(settings, options.queue, stop, hangup)
        if options.tick:
            return tick(settings, stop, hangup)
        return supervise(settings, environ, stop, hangup)
    except SettingsError as error:
        sys.stderr.write("The workers cannot start:\n")
        sys.stderr.writelines(f"  {problem}\n" for problem in error.problems)
        return BAD_SETTINGS


def work(settings: WorkerSettings, queue: str, stop: Stop, hangup: Hangup) -> int:
    """Be the worker of one queue."""
    metrics = WorkerMetrics(CollectorRegistry())
    own = broker.connect(settings)
    app = wiring.build(
        settings,
        broker.connect(settings),
        metrics,
        stopping=lambda: stop.requested,
        hangups=lambda: hangup.heard,
    )
    wiring.install(app)
    functions = (jobs.process_events, jobs.flush_groups, jobs.deliver, jobs.advance_rotation)
    return serve(queue, own, functions, metrics, stop)


def tick(settings: WorkerSettings, stop: Stop, hangup: Hangup) -> int:
    """Be the process that looks for what is due."""
    metrics = WorkerMetrics(CollectorRegistry())
    redis = broker.connect(settings)
    app = wiring.build(
        settings,
        redis,
        metrics,
        stopping=lambda: stop.requested,
        hangups=lambda: hangup.heard,
    )
    Tick(
        Lease(redis, Keys(settings.key_prefix).tick, seconds=settings.tick_lease),
        sources=app.sources,
        sweeps=app.sweeps,
        sweep_interval=settings.sweep_interval,
        metrics=metrics,
    ).run(stop)
    return 0


def supervise(
    settings: WorkerSettings, environ: Mapping[str, str], stop: Stop, hangup: Hangup
) -> int:
    """Run every process that the settings ask for, and the admin port."""
    # one more series for each counter, of no use to anyone
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
    settings = settings.of_the_tick()
    redis = _impatient(settings)
    # composed here only to find every problem before a child does, and to read the numbers
    app = wiring.build(settings, redis, WorkerMetrics(CollectorRegistry()))
    with tempfile.TemporaryDirectory(prefix="synap-hooks-", ignore_cleanup_errors=True) as folder:
        exposition = Exposition(Path(folder))
        exposition.registry.register(StoreCollector(app.books.snapshot, time.time))
        exposition.registry.register(app.rotations.gauges(time.time))
        supervisor = Supervisor(
            {**settings.workers, TICK: 1},
            spawn=spawn_module([sys.executable, "-m", __package__], environ, folder),
            metrics=SupervisorMetrics(exposition.registry),
            reaped=exposition.forget,
            grace=settings.grace_period,
            hangups=lambda: hangup.heard,
        )
        admin = _admin(settings, supervisor, exposition, redis)
        _log.info("supervisor.started", admin_port=admin.port, workers=str(settings.workers))
        supervisor.run(stop)
        admin.shutdown()
        admin.server_close()
    return 0


def _admin(
    settings: WorkerSettings, supervisor: Supervisor, exposition: Exposition, redis: Redis
) -> AdminServer:
    probes = Probes(
        beat=lambda: supervisor.beat,
        stopping=lambda: supervisor.stopping,
        queues=tuple(role for role in supervisor.roles if role in QUEUES),
        redis=redis,
        keys=Keys(settings.key_prefix),
    )
    try:
        admin = AdminServer(
            settings.host, settings.workers_admin_port, routes(probes, exposition.render)
        )
    except OSError as error:
        text = f"SYNAP_WORKERS_ADMIN_PORT: cannot listen on {settings.workers_admin_port}"
        raise SettingsError([f"{text}: {error.strerror}"]) from None
    admin.start()
    return admin


def _impatient(settings: WorkerSettings) -> Redis:
    """Return a client for probes, whose answer is worth nothing when it comes late."""
    redis = broker.connect(settings)
    redis.connection_pool.connection_kwargs |= {
        "socket_timeout": PROBE_SECONDS,
        "socket_connect_timeout": PROBE_SECONDS,
    }
    return redis


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers",
        description="Process what the receiver accepted; without options, supervise all of it.",
    )
    role = parser.add_mutually_exclusive_group()
    role.add_argument("--queue", choices=QUEUES, help="be one worker of this queue")
    role.add_argument("--tick", action="store_true", help="be the process that looks for due work")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process does")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
