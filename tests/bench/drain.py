"""The workers: a backlog drained by one process, against one no-op RQ job per event."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop
from rq import Queue
from rq.serializers import JSONSerializer

from receiver.broker import EVENTS_BULK
from tests.bench import load
from tests.bench.edge import SERVER_CORE, environ, new_redis, receiver, rss_mb
from tests.bench.jobs import noop
from tests.servers import Module, RedisServer, free_port, wait_for

PATIENCE = 600.0


class Drain(NamedTuple):
    """How a backlog was drained; seconds do not count the process's start."""

    events: int
    seconds: float
    rss_mb: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


class Pair(NamedTuple):
    """One round: a backlog drained by one of our worker processes, then jobs by RQ's own."""

    ours: Drain
    rq: Drain

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.ours.rate / self.rq.rate


def in_turn(
    folder: Path,
    *,
    events: int,
    jobs: int,
    rounds: int,
    say: Callable[[str], None],
) -> list[Pair]:
    """Drain `events` with ours and `jobs` with RQ's, in turn."""
    pairs: list[Pair] = []
    for number in range(rounds):
        with new_redis() as redis:
            own = ours(redis, folder, events=events)
        with new_redis() as redis:
            pair = Pair(own, one_job_each(redis, folder, events=jobs))
        rates = f"{pair.ours.rate:,.0f} events/s, RQ {pair.rq.rate:,.0f} jobs/s"
        say(f"round {number + 1}/{rounds} one worker process {rates}")
        pairs.append(pair)
    return pairs


def fill(redis: RedisServer, folder: Path, *, events: int) -> None:
    """Send a backlog through the receiver while no worker runs."""
    path = load.prepare(folder / "requests", events, tag="dr")
    with receiver(redis, folder) as edge:
        seen = uvloop.run(load.send(edge.port, path))
    if (seen.requests, seen.refused, seen.broken) != (events, 0, 0):
        raise RuntimeError(f"the backlog is not complete: {seen}")


def ours(redis: RedisServer, folder: Path, *, events: int) -> Drain:
    """Drain the backlog with one worker process and the route to the log."""
    fill(redis, folder, events=events)
    settings = environ(redis, SYNAP_WORKERS_ADMIN_PORT=str(free_port()))
    log = folder / "worker.log"
    worker = Module("workers", "--queue", EVENTS_BULK, environ=settings, log=log, cpu=SERVER_CORE)
    with redis.client() as client:

        def done() -> int:
            found = client.hmget("synap:counters", "done:ingestion.failed", "dead")
            return sum(int(count) for count in found if count)

        try:
            began, first = _first(done, worker)
            wait_for(lambda: done() >= events, seconds=PATIENCE, what="the backlog")
            return Drain(events - first, time.perf_counter() - began, rss_mb(worker.process.pid))
        finally:
            worker.stop()


def one_job_each(redis: RedisServer, folder: Path, *, events: int) -> Drain:
    """Drain as many no-op jobs with RQ's own SimpleWorker."""
    with redis.client() as client:
        queue = Queue("bench", connection=client, serializer=JSONSerializer)
        jobs = [Queue.prepare_data(noop, (str(number),), result_ttl=0) for number in range(events)]
        queue.enqueue_many(jobs)
        log = folder / "rq.log"
        arguments = ["--url", redis.url, "--worker-class", "rq.SimpleWorker", "--quiet", "--burst"]
        arguments += ["--serializer", "rq.serializers.JSONSerializer", "bench"]
        worker = Module("rq.cli", "worker", *arguments, environ={}, log=log, cpu=SERVER_CORE)
        try:
            began, first = _first(lambda: events - int(client.llen("rq:queue:bench")), worker)
            wait_for(
                lambda: client.llen("rq:queue:bench") == 0, seconds=PATIENCE, what="RQ's worker"
            )
            seconds = time.perf_counter() - began
            return Drain(events - first, seconds, rss_mb(worker.process.pid))
        finally:
            worker.stop()


def _first(done: Callable[[], int], worker: Module) -> tuple[float, int]:
    """Wait until the first events are done; return when that was and how many."""

    def probe() -> int:
        if not worker.alive:
            raise RuntimeError(f"the worker ended:\n{worker.log.read_text()[-2000:]}")
        return done()

    first = wait_for(probe, seconds=60, what="the first event")
    return time.perf_counter(), first
