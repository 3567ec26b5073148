"""The edge: ours, an empty endpoint, and one job per request, in turn on the same core."""

from __future__ import annotations

import os
import statistics
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

from tests.bench import load
from tests.bench.load import Load
from tests.build import SECRET
from tests.servers import Module, RedisServer, free_port, start_redis

SERVER_CORE, LOAD_CORE = 0, 1
FASTEST = 50_000
"""Requests per second that no server here reaches: how many are signed for a second of load."""

STEPS, LEAST_STEP = 50, 5_000
"""In how many steps the ledger grows, and how many records a step adds at least."""


class Edge(NamedTuple):
    """A server under load, by name; `pid` is its process."""

    name: str
    port: int
    pid: int


class Run(NamedTuple):
    """One run: what the load saw, events per commit, resident megabytes of the server after it."""

    load: Load
    per_commit: float
    rss_mb: float


def environ(redis: RedisServer, **more: str) -> dict[str, str]:
    """Return the settings of every process of the bench."""
    return {"SYNAP_REDIS_URL": redis.url, "SYNAP_WEBHOOK_SECRET": SECRET, **more}


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in megabytes (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no VmRSS")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def new_redis() -> Iterator[RedisServer]:
    """Run an empty server of its own.

    One that was flushed has its memory scattered, and is slower each time. Rewriting the
    append-only file would come and go on the core of the load.
    """
    server = start_redis(config=["--auto-aof-rewrite-percentage", "0"])
    try:
        yield server
    finally:
        server.close()


@contextmanager
def comparison(name: str, redis: RedisServer, folder: Path) -> Iterator[Edge]:
    """Run one of the applications that ours is compared with."""
    port = free_port()
    log = folder / f"{name}.log"
    module = Module(
        "tests.bench.apps", name, str(port), environ=environ(redis), log=log, cpu=SERVER_CORE
    )
    try:
        module.wait_listening(port)
        yield Edge(name, port, module.process.pid)
    finally:
        module.stop()


@contextmanager
def receiver(redis: RedisServer, folder: Path) -> Iterator[Edge]:
    """Run the receiver as it runs for real: every log line written to a file."""
    port, admin = free_port(), free_port()
    settings = environ(
        redis,
        SYNAP_HOST="127.0.0.1",
        SYNAP_PORT=str(port),
        SYNAP_ADMIN_PORT=str(admin),
        SYNAP_SHUTDOWN_DELAY="0",
        SYNAP_SHED_AGE="1d",
    )
    module = Module("receiver", environ=settings, log=folder / "receiver.log", cpu=SERVER_CORE)
    try:
        module.wait_listening(port)
        urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz").close()
        yield Edge("receiver", port, module.process.pid)
    finally:
        module.stop()


def measure(edge: Edge, redis: RedisServer, requests: Path, *, seconds: int) -> Run:
    """Put one server under load.

    Raises:
        RuntimeError: an answer was no 2xx, or the signed bodies did not last.
    """
    before = _counters(redis)
    seen = load.run(edge.port, requests, seconds=seconds)
    after = _counters(redis)
    if seen.refused or seen.broken:
        raise RuntimeError(f"{edge.name}: {seen}")
    if after["duplicates"] != before["duplicates"]:
        raise RuntimeError("a body was sent twice: more of them must be signed")
    commits, events = (after[name] - before[name] for name in ("commits", "accepted"))
    return Run(seen, events / commits if commits else 0.0, rss_mb(edge.pid))


def in_turn(
    starts: Mapping[str, Callable[[RedisServer, Path], AbstractContextManager[Edge]]],
    folder: Path,
    *,
    rounds: int,
    seconds: int,
    say: Callable[[str], None],
) -> dict[str, list[Run]]:
    """Measure each server once per round, each time over a Redis of its own."""
    runs: dict[str, list[Run]] = {name: [] for name in starts}
    for number in range(rounds):
        for name, start in starts.items():
            tag = f"{number:02d}{name[:2]}"
            path = load.prepare(folder / "requests", FASTEST * seconds, tag=tag)
            os.sync()  # what was just written would be on its way to the disk that Redis waits for
            with new_redis() as redis, start(redis, folder) as edge:
                run = measure(edge, redis, path, seconds=seconds)
            runs[name].append(run)
            say(f"round {number + 1}/{rounds} {name:9} {run.load.rate:8,.0f} requests/s")
    return runs


def growth(folder: Path, *, records: int, say: Callable[[str], None]) -> list[tuple[int, float]]:
    """Return (records in the ledger, cost of accepting one more) while the ledger grows.

    The cost is the processor time of receiver and Redis together, in microseconds per event: it
    does not depend on what else the load's core has to do.
    """
    points: list[tuple[int, float]] = []
    step = max(LEAST_STEP, records // STEPS)
    with new_redis() as redis, receiver(redis, folder) as edge:
        assert redis.process is not None
        for held in range(0, records, step):
            path = load.prepare(folder / "requests", step, tag=f"g{len(points):03d}")
            before = cpu_seconds(edge.pid) + cpu_seconds(redis.process.pid)
            seen = uvloop.run(load.send(edge.port, path))
            if (seen.requests, seen.refused, seen.broken) != (step, 0, 0):
                raise RuntimeError(f"the ledger did not grow as it should: {seen}")
            spent = cpu_seconds(edge.pid) + cpu_seconds(redis.process.pid) - before
            points.append((held, spent * 1e6 / step))
            say(f"from {held:9,} records  {points[-1][1]:6.1f} us/event")
    return points


def slope(points: list[tuple[int, float]]) -> float:
    """Return the cost at the end of the growth relative to that at its beginning."""
    share = max(1, len(points) // 5)
    first = statistics.median(cost for _, cost in points[:share])
    return statistics.median(cost for _, cost in points[-share:]) / first


def _counters(redis: RedisServer) -> Counter[str]:
    with redis.client() as client:
        found = client.hgetall("synap:counters")
    totals = Counter[str]()
    for name, value in found.items():
        totals[name.decode().partition(":")[0]] += int(value)
    return totals
