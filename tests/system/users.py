"""The whole service on a Redis that gives each role its own user, and nobody else a way in."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.sandbox import Sandbox
from tests.servers import RedisServer, start_redis
from tests.sink import Sink
from tests.system.plant import SHORT, Plant
from tests.workers.cli.command import Command
from workers.rights import Role

SERVERS: Final = ("embedded", "redis-server")
ACL_SECRET: Final = "0123456789abcdef0123456789abcdef"
QUEUES: Final = (Role.EVENTS, Role.EVENTS_BULK, Role.NOTIFICATIONS, Role.ROTATION)

CONFIG: Final = """\
alerting:
  route: {{receiver: team, group_by: ["..."], group_wait: 0s, group_interval: 1s}}
  receivers: [{{name: team, webhook_configs: [{{url: "{sink}/team"}}]}}]
guard:
  instances: [{{id: {instance}, llm_window: 8192}}]
rotation:
  credentials:
    - name: production
      mode: automatic
      overlap: 0
      match: {{credential_id: key_production}}
      stores: [{{type: file, path: key}}]
      rollout: {{type: none}}
"""


def server_of(name: str) -> RedisServer:
    """Return a server that appends to disk at each write: the embedded one, or one on PATH."""
    binary = None if name == "embedded" else shutil.which(name)
    if binary is None and name != "embedded":
        pytest.skip(f"{name} is missing: on Debian and Ubuntu, apt install {name}")
    return start_redis(binary=binary)


def give_users(server: RedisServer) -> dict[str, str]:
    """Give a server its users as an administrator does; return the URL of each role."""
    command = Command()
    assert command("acl", "rules", stdin=ACL_SECRET) == 0, command.err
    with server.client() as admin:
        for line in command.out.splitlines():
            admin.execute_command(*shlex.split(line))
    assert command("acl", "urls", server.url, stdin=ACL_SECRET) == 0, command.err
    return dict(line.split("=", 1) for line in command.out.splitlines())


def refusals(server: RedisServer) -> list[tuple[str, str, str]]:
    """Return what a server refused since it started: whom, why and what."""
    with server.client() as admin:
        rows = admin.execute_command("ACL", "LOG", 128)
    return [(row["username"], row["reason"], row["object"]) for row in map(_texts, rows)]


class Site:
    """A plant whose processes sign in to Redis as their role; the suite signs in as nobody."""

    def __init__(self, folder: Path, server: RedisServer, sandbox: Sandbox, sink: Sink) -> None:
        self.sandbox = sandbox
        config = folder / "hooks.yaml"
        config.write_text(CONFIG.format(sink=sink.url, instance=sandbox.instance.id))
        self.key = folder / "key"
        self.key.write_text(sandbox.issue_key("production"))
        self.environ = {
            **SHORT,
            "SYNAP_CONFIG": str(config),
            "SYNAP_API_URL": sandbox.url,
            "SYNAP_API_KEY": sandbox.issue_key("service"),
        }
        self.urls = give_users(server)
        self.plant = Plant(folder, server=server, **self.environ)

    def start(self) -> None:
        """Start every role under its own user: one worker with its supervisor, the others bare."""
        url = self.urls
        self.plant.start("receiver", SYNAP_REDIS_URL=url["receiver"]).wait_listening(
            self.plant.port
        )
        for queue in QUEUES[:3]:
            self.plant.start("workers", "--queue", queue, SYNAP_REDIS_URL=url[queue])
        self.plant.start(
            "workers",
            SYNAP_WORKERS="rotation=1",
            SYNAP_REDIS_URL=url["rotation"],
            SYNAP_TICK_REDIS_URL=url["tick"],
        )

    def person(self) -> Command:
        """Return the command line of a person who signs in as the operator."""
        return Command(self.urls["operator"], **self.environ)

    def metrics(self) -> str:
        """Return what the supervisor exposes."""
        url = f"http://127.0.0.1:{self.plant.workers_admin}/metrics"
        return httpx2.get(url, timeout=10).text


def _texts(row: object) -> dict[str, str]:
    pairs = row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True)  # type: ignore[index]
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
