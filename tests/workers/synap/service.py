"""A whole worker in this process: events in, notifications out, Synap beside it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from redis import Redis

from receiver.settings import load
from tests.accept import commit, submission
from tests.sandbox import Sandbox
from tests.sandbox.schema import merged
from tests.sink import Sink
from workers import wiring
from workers.metrics import WorkerMetrics
from workers.settings import WorkerSettings

ROUTES = """\
alerting:
  route: {{receiver: team, group_by: ["..."], group_wait: 0s, group_interval: 1s}}
  receivers:
    - name: team
      webhook_configs: [{{url: "{sink}/team"}}]
synap: {{calls_per_minute: 6000}}
"""


class Told:
    """One alert as a target was told of it."""

    def __init__(self, alert: Mapping[str, Any]) -> None:
        self.status: str = alert["status"]
        self.labels: Mapping[str, str] = alert["labels"]
        self.notes: Mapping[str, str] = alert["annotations"]

    @property
    def name(self) -> str:
        """The alert's name, with its rule if it has one."""
        rule = self.labels.get("rule")
        return self.labels["alertname"] + (f":{rule}" if rule else "")


class Service:
    """Redis, one worker, a sandbox and a target; it and the sandbox share a clock."""

    def __init__(
        self,
        redis: Redis,
        redis_url: str,
        sandbox: Sandbox,
        sink: Sink,
        folder: Path,
        *,
        config: str = "",
        key: str | None = None,
        **environ: str,
    ) -> None:
        self.redis, self.redis_url = redis, redis_url
        self.sandbox, self.sink = sandbox, sink
        file = folder / "hooks.yaml"
        file.write_text(ROUTES.format(sink=sink.url) + config)
        self.key = sandbox.issue_key() if key is None else key
        self.environ = {
            "SYNAP_REDIS_URL": redis_url,
            "SYNAP_CONFIG": str(file),
            "SYNAP_API_URL": sandbox.url,
            "SYNAP_API_KEY": self.key,
            **environ,
        }
        self.registry = CollectorRegistry()
        self.app = wiring.build(
            load(WorkerSettings, self.environ),
            redis,
            WorkerMetrics(self.registry),
            clock=self.now,
        )

    def now(self) -> float:
        """Return the moment."""
        return time.time() + self.sandbox.ahead

    def deliver(self, *bodies: Mapping[str, Any]) -> None:
        """Accept events in one batch, process them, and tell what comes of them."""
        batch = [submission(body, now=self.now()) for body in bodies]
        commit(self.redis_url, batch, now=self.now())
        self.work()

    def work(self) -> None:
        """Do every job of every queue, again and again until none is left."""
        while job := self._next():
            queue, ident, function, arguments = job
            if function.endswith("process_events"):
                self.app.processor.run(ident, queue, arguments)
            elif function.endswith("flush_groups"):
                self.app.dispatcher.flush(arguments, self.now())
            else:
                self.app.dispatcher.deliver(arguments, self.now())

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, then do all that the tick does, and what it put on the queues."""
        self.sandbox.ahead += seconds
        for _ in range(2):
            for errand in (*self.app.sources.values(), *self.app.sweeps.values()):
                errand(self.now())
            self.work()

    def active(self, config: Mapping[str, Any], *, deliver: bool = True, **how: str) -> str:
        """Bring a partial update through its review to its application; return its id.

        `how` may say `by`, `reviewer` and `mode`. The event is delivered, unless it is not to be.
        """
        instance = self.sandbox.instance
        owner = {"client_id": instance.client_id, "triggered_by_user_id": how.get("by", "ann")}
        if not instance.versions:
            instance.init(owner)
        else:
            instance.update({**owner, "reason": "a reason", "config": config})
        version = instance.versions[-1]
        if not instance.active:
            version.config = merged(version.config, config)
        review = {"decision": "approve", "reviewed_by": how.get("reviewer", "bob")}
        instance.review(version.config_id, review)
        applying = {"applied_by": owner["triggered_by_user_id"]}
        instance.apply(version.config_id, applying | {"mode": how.get("mode", "graceful")})
        if deliver:
            self.deliver(self.sandbox.events[-1])
        return version.config_id

    @property
    def told(self) -> list[Told]:
        """Every alert that the target was told of, in order."""
        return [Told(alert) for seen in self.sink.seen for alert in seen.json["alerts"]]

    @property
    def firing(self) -> set[str]:
        """The names of the alerts of which the target was told last that they fire."""
        latest = {one.name: one.status for one in self.told}
        return {name for name, status in latest.items() if status == "firing"}

    def latest(self, name: str) -> Told:
        """Return what the target was told last of one alert."""
        return [one for one in self.told if one.name == name][-1]

    def close(self) -> None:
        """Close what the worker holds open."""
        self.app.outbound.close()

    def _next(self) -> tuple[str, str, str, list[str]] | None:
        for queue in ("events", "events-bulk", "notifications"):
            ident: Any = self.redis.lpop(f"rq:queue:{queue}")
            if ident is not None:
                data: Any = self.redis.hget(f"rq:job:{ident.decode()}", "data")
                raw = zlib.decompress(data)
                function, _, (arguments, *_), _ = orjson.loads(raw)
                return queue, ident.decode(), function, arguments
        return None
