"""The alerting of a small house: real Redis, real HTTP, a clock that tests move."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from redis import Redis

from receiver.broker import Keys
from tests.build import NOW
from tests.sink import Sink
from tests.workers.alerting.mortal import Fate, mortal_outbound, mortal_redis
from workers.alert import Alert
from workers.alerting.assembly import Alerting, assemble
from workers.alerting.config import AlertingConfig, read
from workers.alerting.groups import groups_lua
from workers.alerting.keys import room
from workers.alerting.notify import Dispatcher
from workers.document import parse
from workers.ledger.transitions import Ledger
from workers.metrics import WorkerMetrics
from workers.outbound import Outbound

PREFIX = "synap"
ROOM = room(PREFIX)
QUEUE = "rq:queue:notifications"


KEY = "c4naryc4naryc4naryc4naryc4nary00"
TAKEN = b'{"status":"success","message":"ok","dedup_key":"d"}'


def config_of(text: str, **secrets: Any) -> AlertingConfig:
    """Return the configuration that an `alerting` section describes."""
    return read(parse(text, file="hooks.yml", base=Path("/nowhere")), **secrets)


class House:
    """Everything between an alert and its targets; `now` is Unix seconds and only moves by hand.

    A test may put another configuration into `config` at any time, as a reload does.
    """

    def __init__(self, redis: Redis, config: AlertingConfig) -> None:
        self.redis = redis
        self.config = config
        self.now = NOW
        self.clock: Callable[[], float] = lambda: self.now
        self.ledger = Ledger(redis, Keys(PREFIX), dedup_window=60.0, fragments=(groups_lua(),))
        self.outbound = Outbound(connect=1.0, read=1.0)
        self.closing = [self.outbound]
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry)
        self.groups, self.dispatcher, self.source = self.assembled()

    def assembled(self, redis: Redis | None = None, outbound: Outbound | None = None) -> Alerting:
        """Return the alerting of one more process, on the same Redis and network if not else."""
        return assemble(
            redis or self.redis,
            PREFIX,
            lambda: self.config,
            outbound or self.outbound,
            self.metrics,
            ack="fsync",
            patience=1.0,
            clock=lambda: self.clock(),  # noqa: PLW0108 - tests put another in its place
            chance=lambda: 0.5,
        )

    def worker_memory_is_gone(self) -> None:
        """Have the processes started anew."""
        self.groups, self.dispatcher, self.source = self.assembled()

    def worker(self) -> Dispatcher:
        """Return one more worker on the same Redis."""
        return self.assembled().dispatcher

    def report(self, *alerts: Alert) -> None:
        """Bring alerts to their groups, as the settlement of an event does."""
        self.ledger.apply(self.groups.effects(alerts, self.now))

    def doomed(self, at: int) -> Dispatcher:
        """Return a worker that dies at a step."""
        fate = Fate(at)
        outbound = mortal_outbound(fate)
        self.closing.append(outbound)
        return self.assembled(mortal_redis(self.redis, fate), outbound).dispatcher

    def close(self) -> None:
        """Close every connection to targets."""
        for outbound in self.closing:
            outbound.close()

    def jobs(self) -> list[tuple[str, list[str]]]:
        """Take all jobs off the queue: their function and the ids they carry."""
        taken = []
        while (job := self.redis.lpop(QUEUE)) is not None:
            data = self.redis.hget(f"rq:job:{job.decode()}", "data")
            function, _, (ids,), _ = orjson.loads(zlib.decompress(data))
            taken.append((function, ids))
        return taken

    def work(self) -> None:
        """Do every job on the queue."""
        for function, ids in self.jobs():
            step = {"workers.jobs.flush_groups": self.dispatcher.flush}.get(
                function, self.dispatcher.deliver
            )
            step(ids, self.now)

    def tick(self, seconds: float = 0.0) -> int:
        """Let time pass, hand on what is due, and do it."""
        self.now += seconds
        moved = self.source.enqueue_due(self.now)
        self.work()
        return moved

    def pass_time(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass with a tick at each step."""
        for _ in range(int(seconds / step)):
            self.tick(step)

    def group_ids(self) -> list[str]:
        """Return the groups that exist, without those of the service's own alerts."""
        found = sorted(member.decode() for member in self.redis.zrange(f"{ROOM}due", 0, -1))
        keys = [self.redis.hget(f"{ROOM}group:{gid}", "key") or b"" for gid in found]
        return [gid for gid, key in zip(found, keys, strict=True) if b"service" not in key]

    def rows(self) -> list[dict[str, str]]:
        """Return the ledger's row of every attempt."""
        return [
            {name.decode(): value.decode() for name, value in row.items()}
            for _, row in self.redis.xrange(f"{ROOM}attempts")
        ]


def bodies(seen: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the JSON bodies that a sink has seen."""
    return [orjson.loads(request.body) for request in seen]


def page(sink: Sink, *more: str, options: str = "", routes: str = "") -> str:
    """Return a configuration whose one receiver pages the sink; `more` are further targets.

    What the service says about itself goes nowhere, so that a test sees its own alerts alone.
    """
    targets = "\n".join(f"    {line}" for line in more)
    return f"""
route:
  receiver: page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 5m
  routes:
    - {{receiver: nowhere, matchers: [event_type=service]}}
{routes}
receivers:
  - name: nowhere
  - name: page
    pagerduty_configs: [{{routing_key: {KEY}, url: "{sink.url}/pd{KEY}"{options}}}]
{targets}
"""


def events(sink: Sink) -> list[tuple[str, str]]:
    """Return what PagerDuty was told: action and summary."""
    return [
        (event["event_action"], event.get("payload", {}).get("summary", ""))
        for event in bodies(sink.seen)
    ]


def open_incidents(seen: Sequence[Any]) -> set[str]:
    """Return what PagerDuty holds open: it drops a resolve that no trigger went before."""
    held: set[str] = set()
    for event in bodies(seen):
        change = held.add if event["event_action"] == "trigger" else held.discard
        change(event["dedup_key"])
    return held


def dropped_resolves(seen: Sequence[Any]) -> list[str]:
    """Return the dedup keys of resolves that came while no incident was open."""
    held: set[str] = set()
    dropped = []
    for event in bodies(seen):
        key = event["dedup_key"]
        if event["event_action"] == "trigger":
            held.add(key)
        elif key in held:
            held.discard(key)
        else:
            dropped.append(key)
    return dropped
