"""Alerting: routes per second, a tick over many groups, a storm of one cause, time to the target.

Also by itself: `python -m tests.bench.alerting`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
from redis import Redis

from receiver.broker import Keys
from tests.bench import drain, edge
from tests.bench.report import Row, machine, markdown
from tests.build import NOW, make_alert, make_event, signed
from tests.processes import Module, free_port, wait_for
from tests.servers import ROOT, RedisServer
from tests.sink import Answer, Seen, Sink
from workers.alerting.config import AlertingConfig
from workers.alerting.due import DueSource
from workers.alerting.groups import Groups, groups_lua
from workers.alerting.matchers import Matcher, Op
from workers.alerting.receivers import Receiver
from workers.alerting.route import Route, Router, Spec, build
from workers.ledger.transitions import Ledger

PREFIX = "synap"
ROUTES = 100
ALERTS = 20_000
GROUPS = 10_000
STORM = 100_000
RATE = 50
SECONDS = 20
PATIENCE = 300.0

STORM_CONFIG = """
alerting:
  route:
    receiver: page
    group_by: [alertname, instance_id, error_code]
    group_wait: 0s
    group_interval: 5s
  receivers:
    - name: page
      pagerduty_configs: [{{routing_key: {key}, url: "{url}/page"}}]
"""
CALL_CONFIG = """
events:
  ingestion.failed: {{burst: 1000000}}
alerting:
  route: {{receiver: hook, group_by: [error_code], group_wait: 0s}}
  receivers: [{{name: hook, webhook_configs: [{{url: "{url}/hook"}}]}}]
"""


class Storm(NamedTuple):
    """How a storm ended: seconds from the workers' start, calls, open incidents, alert groups.

    There are two groups: of the failures, and of the burst that they are.
    """

    seconds: float
    calls: int
    incidents: int
    groups: int


class Measured(NamedTuple):
    """Everything; rates in alerts per second, times in milliseconds."""

    fresh_rate: float
    known_rate: float
    tick_ms: float
    storm: Storm
    p50_ms: float
    p99_ms: float


class TimedSink(Sink):
    """A sink that knows when each request arrived, by its first error code."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        super().__init__()

    def take(self, request: Seen) -> Answer:
        """Record one request and its time."""
        code = request.json.get("groupLabels", {}).get("error_code", "")
        self.arrived.setdefault(code, time.perf_counter())
        return super().take(request)


def tree() -> Route:
    """Return a tree of a hundred routes: ten teams with nine routes each."""
    teams = [
        Spec(
            matchers=(Matcher("team", Op.EQUAL, f"team-{team}"),),
            routes=tuple(
                Spec(
                    matchers=(
                        Matcher("service", Op.REGEX, f"svc-{place}-.*"),
                        Matcher("severity", Op.NOT_EQUAL, "info"),
                    ),
                    goes_on=place % 3 == 0,
                )
                for place in range(9)
            ),
        )
        for team in range(10)
    ]
    return build(Spec(receiver="r", routes=tuple(teams)))


def routing() -> tuple[float, float]:
    """Return alerts per second through the tree: each seen for the first time, and seen before."""
    root = tree()
    assert len(list(root.walk())) > ROUTES
    labels = [
        {"alertname": "A", "team": f"team-{n % 10}", "service": f"svc-{n % 9}-{n}", "severity": "x"}
        for n in range(ALERTS)
    ]
    began = time.perf_counter()
    for one in labels:
        root.match(one)
    fresh = ALERTS / (time.perf_counter() - began)
    router = Router(root)
    for one in labels:
        router.routes(one)
    began = time.perf_counter()
    for one in labels:
        router.routes(one)
    return fresh, ALERTS / (time.perf_counter() - began)


def tick(server: RedisServer) -> float:
    """Return the milliseconds of a tick over many groups of which none is due (median)."""
    with server.client() as redis:
        _fill(redis)
        source = DueSource(redis, PREFIX)
        times = []
        for _ in range(50):
            began = time.perf_counter()
            moved = source.enqueue_due(NOW + 1)
            times.append(time.perf_counter() - began)
            assert moved == 0
        return statistics.median(times) * 1000


def _fill(redis: Redis) -> None:
    """Make many groups that wait for their first flush."""
    config = AlertingConfig(
        route=build(Spec(receiver="r", group_by=("alertname",))),
        receivers={"r": Receiver(name="r")},
    )
    groups = Groups(PREFIX, lambda: config)
    ledger = Ledger(redis, Keys(PREFIX), dedup_window=60.0, fragments=[groups_lua()])
    for at in range(0, GROUPS, 500):
        alerts = [make_alert(f"A{number}") for number in range(at, at + 500)]
        ledger.apply(groups.effects(alerts, NOW))
    assert redis.zcard(f"{PREFIX}:alerting:due") == GROUPS


@contextmanager
def workers(redis: RedisServer, folder: Path, config: str) -> Iterator[Module]:
    """Run all worker processes on both cores, with a configuration."""
    file = folder / "hooks.yaml"
    file.write_text(config)
    settings = edge.environ(
        redis, SYNAP_CONFIG=str(file), SYNAP_WORKERS_ADMIN_PORT=str(free_port())
    )
    os.sched_setaffinity(0, {edge.SERVER_CORE, edge.LOAD_CORE})
    module = Module("workers", environ=settings, log=folder / "workers.log")
    try:
        yield module
    finally:
        module.stop()
        os.sched_setaffinity(0, {edge.LOAD_CORE})


def storm(redis: RedisServer, folder: Path) -> Storm:
    """Return how a storm of one cause ends that was accepted while no worker ran."""
    drain.fill(redis, folder, events=STORM)
    sink = Sink()
    sink.answer(202, b'{"status":"success","message":"ok","dedup_key":"d"}')
    config = STORM_CONFIG.format(url=sink.url, key="b" * 32)
    with redis.client() as client, workers(redis, folder, config):
        began = time.perf_counter()
        wait_for(lambda: _done(client) >= STORM, seconds=PATIENCE, what="the storm's end")
        wait_for(lambda: _settled(client), seconds=PATIENCE, what="the last call")
        seconds = time.perf_counter() - began
        groups = client.zcard(f"{PREFIX}:alerting:due")
    seen = [request.json for request in sink.seen]
    sink.close()
    opened = {body["dedup_key"] for body in seen if body["event_action"] == "trigger"}
    closed = {body["dedup_key"] for body in seen if body["event_action"] == "resolve"}
    return Storm(seconds, len(seen), len(opened - closed), groups)


def _done(client: Redis) -> int:
    return int(client.hget(f"{PREFIX}:counters", "done:ingestion.failed") or 0)


def _settled(client: Redis) -> bool:
    """Say whether every group was flushed and no delivery is under way."""
    if client.zcard(f"{PREFIX}:alerting:deliveries"):
        return False
    groups = client.zrange(f"{PREFIX}:alerting:due", 0, -1)
    flushed = [client.hget(f"{PREFIX}:alerting:group:{gid.decode()}", "flushes") for gid in groups]
    return bool(flushed) and all(flushed)


def reaction(redis: RedisServer, folder: Path) -> tuple[float, float]:
    """Return milliseconds from the webhook's answer to the call at the target: p50 and p99."""
    sink = TimedSink()
    answered: dict[str, float] = {}
    with (
        edge.receiver(redis, folder) as server,
        workers(redis, folder, CALL_CONFIG.format(url=sink.url)),
    ):
        url = f"http://127.0.0.1:{server.port}/webhooks/synap"
        with httpx2.Client(timeout=10) as client:
            _send(client, url, ["warm"], {})
            sink.wait(1, seconds=60)
            codes = [f"E{number}" for number in range(RATE * SECONDS)]
            _send(client, url, codes, answered)
            sink.wait(1 + len(codes), seconds=60)
    sink.close()
    waits = sorted((sink.arrived[code] - at) * 1000 for code, at in answered.items())
    return waits[len(waits) // 2], waits[len(waits) * 99 // 100]


def _send(client: httpx2.Client, url: str, codes: list[str], answered: dict[str, float]) -> None:
    """Send an event for each code at a steady rate; note when each was answered."""
    began = time.perf_counter()
    for number, code in enumerate(codes):
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        body, headers = signed(make_event(event_id=f"evt_{code}", data={"error_code": code}))
        answer = client.post(url, content=body, headers=headers)
        answered[code] = time.perf_counter()
        assert answer.status_code == 202, answer.text


def measure(folder: Path, say: Callable[[str], None]) -> Measured:
    """Measure everything about alerting, each part over a Redis of its own."""
    fresh, known = routing()
    say(f"routing {fresh:,.0f} alerts/s fresh, {known:,.0f} seen before")
    with edge.new_redis() as redis:
        waited = tick(redis)
    say(f"a tick over {GROUPS:,} groups {waited:.2f} ms")
    with edge.new_redis() as redis:
        p50, p99 = reaction(redis, folder)
    say(f"from the answer to the call {p50:.0f} / {p99:.0f} ms")
    with edge.new_redis() as redis:
        ended = storm(redis, folder)
    say(f"a storm of {STORM:,} events {ended.seconds:.0f} s, {ended.calls} calls")
    return Measured(fresh, known, waited, ended, p50, p99)


def rows(found: Measured) -> list[Row]:
    """Return the lines about alerting."""
    storm = found.storm
    ended = storm.incidents == storm.groups and storm.seconds <= 60
    return [
        Row(
            f"routing through {ROUTES} routes, labels never seen before",
            f"{found.fresh_rate:,.0f} alerts/s",
            "≥ 20,000",
            found.fresh_rate >= 20_000,
        ),
        Row("… labels seen before", f"{found.known_rate:,.0f} alerts/s"),
        Row(
            f"a tick over {GROUPS:,} groups, none due",
            f"{found.tick_ms:.2f} ms",
            "≤ 20 ms",
            found.tick_ms <= 20,
        ),
        Row(
            f"a storm of {STORM:,} events of one cause, to one incident for each group",
            f"{storm.seconds:.0f} s, {storm.incidents} of {storm.groups}",
            "≤ 60 s",
            ended,
        ),
        Row("… calls to the target", str(storm.calls), "≤ 10", storm.calls <= 10),
        Row(
            f"from the webhook's answer to the target, {RATE} events/s, p50 / p99",
            f"{found.p50_ms:.0f} / {found.p99_ms:.0f} ms",
            "≤ 250 ms",
            found.p99_ms <= 250,
        ),
    ]


def main() -> int:
    """Measure alerting alone and print it; return 1 when an aim is missed."""
    os.sched_setaffinity(0, {edge.LOAD_CORE})
    out = ROOT / ".bench"
    out.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=out))
    try:
        found = rows(measure(folder, lambda text: print(f"  {text}", flush=True)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(markdown(found, machine()))
    return int(any(row.holds is False for row in found))


if __name__ == "__main__":
    sys.exit(main())
