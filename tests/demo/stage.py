"""What the demo runs: Redis, receiver, workers, and stand-ins for Synap's API and the targets.

Everything listens on free ports of 127.0.0.1, every secret is made up for this run, and nothing
of the caller's environment reaches the processes.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.sandbox import Sandbox
from tests.servers import Module, RedisServer, free_port, start_redis, wait_for
from tests.sink import Sink

PAGERDUTY_PATH = "/pagerduty/v2/enqueue"
TEAM_PATH = "/team"
PAGES = ("critical", "high", "medium")
READY_SECONDS = 30.0

ROUTES = """\
# The demo's routes. Everything goes to the team's webhook; what cannot wait also pages.
alerting:
  route:
    receiver: team
    group_by: [alertname, instance_id]
    group_wait: 0s
    routes:
      - receiver: on-call
        matchers: ['severity=~"{pages}"']
        continue: true
      - receiver: team
  receivers:
    - name: on-call
      pagerduty_configs:
        - url: {sink}{pagerduty}
    - name: team
      webhook_configs:
        - url: {sink}{team}
guard:
  instances:
    - id: {instance}
      production: true
      llm_window: 8192
"""


class Answered(NamedTuple):
    """What the receiver said to one delivery; `ms` is how long it took."""

    status: int
    word: str
    ms: float


class Stage:
    """The running demo; `folder` keeps the logs and the routes after it has ended."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.secret = f"whsec_demo_{secrets.token_hex(16)}"
        self.sink = Sink()
        self.sink.answer(202, b'{"status": "success"}')
        self.synap = Sandbox()
        self.redis: RedisServer = start_redis()
        self.port, self.admin, self.workers_admin = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/webhooks/synap"
        self.environ = self._environ()
        self._modules = [self._start("receiver"), self._start("workers")]

    def wait_ready(self) -> None:
        """Wait until both processes say that they are ready.

        Raises:
            RuntimeError: one of them ended; carries the end of its log.
            TimeoutError: one of them is not ready in time.
        """
        for module, port in zip(self._modules, (self.admin, self.workers_admin), strict=True):
            module.wait_listening(port)
            what = f"{module.name} to be ready (its log: {module.log})"
            wait_for(partial(_ready, port), seconds=READY_SECONDS, what=what)

    def post(self, body: bytes, signature: str) -> Answered:
        """Deliver a body as Synap does."""
        headers = {"content-type": "application/json", "x-synap-signature": signature}
        began = time.perf_counter()
        try:
            answer = urllib.request.urlopen(
                urllib.request.Request(self.url, data=body, headers=headers), timeout=30
            )
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            said = json.loads(answer.read())
            milliseconds = (time.perf_counter() - began) * 1000
            return Answered(answer.status, said.get("status") or said["code"], milliseconds)

    def events(self) -> dict[str, dict[str, Any]]:
        """Return every event by its id, as `synap-hooks events list --json` tells it.

        Raises:
            RuntimeError: the command failed; carries what it said.
        """
        command = [str(Path(sys.executable).with_name("synap-hooks")), "events", "list", "--json"]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"synap-hooks events list failed: {done.stderr.strip()}")
        return {event["id"]: event for event in json.loads(done.stdout)["events"]}

    def close(self) -> None:
        """End everything, workers first; the logs stay."""
        for module in reversed(self._modules):
            module.stop()
        self.redis.close()
        self.synap.close()
        self.sink.close()

    def _start(self, module: str) -> Module:
        log = self.folder / f"{module}.log"
        log.unlink(missing_ok=True)
        return Module(module, environ=self.environ, log=log)

    def _environ(self) -> dict[str, str]:
        routes = self.folder / "routes.yaml"
        routes.write_text(
            ROUTES.format(
                pages="|".join(PAGES),
                sink=self.sink.url,
                pagerduty=PAGERDUTY_PATH,
                team=TEAM_PATH,
                instance=self.synap.instance.id,
            )
        )
        return {
            "SYNAP_REDIS_URL": self.redis.url,
            "SYNAP_WEBHOOK_SECRET": self.secret,
            "SYNAP_HOST": "127.0.0.1",
            "SYNAP_PORT": str(self.port),
            "SYNAP_ADMIN_PORT": str(self.admin),
            "SYNAP_WORKERS_ADMIN_PORT": str(self.workers_admin),
            "SYNAP_SHUTDOWN_DELAY": "0",
            "SYNAP_CONFIG": str(routes),
            "SYNAP_API_URL": self.synap.url,
            "SYNAP_API_KEY": self.synap.issue_key("demo"),
            "PAGERDUTY_ROUTING_KEY": secrets.token_hex(16),
        }


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
