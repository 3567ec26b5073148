"""The alerting of a small house: real Redis, real HTTP, a clock that tests move."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from redis import Redis

from receiver.broker import Keys
from tests.build import NOW
from tests.sink import Sink
from workers.alert import Alert
from workers.alerting.config import AlertingConfig, read
from workers.alerting.due import DueSource
from workers.alerting.groups import Groups, groups_lua
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
    """Everything between an alert and its targets; `now` is Unix seconds and only moves by hand."""

    def __init__(self, redis: Redis, config: AlertingConfig, **options: Any) -> None:
        self.redis = redis
        self.config = config
        self.now = NOW
        self.groups = Groups(PREFIX, config.route, **options)
        self.ledger = Ledger(redis, Keys(PREFIX), dedup_window=60.0, fragments=(groups_lua(),))
        self.source = DueSource(redis, PREFIX)
        self.outbound = Outbound(connect=1.0, read=1.0)
        self.registry = CollectorRegistry()
        self.dispatcher = self.worker()

    def worker(self) -> Dispatcher:
        """Return one more worker on the same Redis."""
        return Dispatcher(
            self.redis,
            PREFIX,
            self.config,
            self.outbound,
            WorkerMetrics(CollectorRegistry()),
            clock=lambda: self.now,
            chance=lambda: 0.5,
        )

    def report(self, *alerts: Alert) -> None:
        """Bring alerts to their groups, as the settlement of an event does."""
        self.ledger.apply(self.groups.effects(alerts, self.now))

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
        """Return the groups that exist."""
        return sorted(member.decode() for member in self.redis.zrange(f"{ROOM}due", 0, -1))

    def rows(self) -> list[dict[str, str]]:
        """Return the ledger's row of every attempt."""
        return [
            {name.decode(): value.decode() for name, value in row.items()}
            for _, row in self.redis.xrange(f"{ROOM}attempts")
        ]


def bodies(seen: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the JSON bodies that a sink has seen."""
    return [orjson.loads(request.body) for request in seen]


def page(sink: Sink, *more: str, options: str = "", extra: str = "") -> str:
    """Return a configuration whose one receiver pages the sink; `more` are further targets."""
    targets = "\n".join(f"    {line}" for line in more)
    return f"""
route:
  receiver: page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 5m
{extra}
receivers:
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
