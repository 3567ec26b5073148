"""A primary, its replicas and three Sentinels of our own, for tests of what follows a failover.

The Sentinels are the same program as the server, so whatever starts a Redis starts them too.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import redis as redis_py

from tests.processes import end_with_parent, free_port, listening, wait_for
from tests.servers import RedisServer, redis_binary, start_redis

MASTER: Final = "hooks"
PROMPT: Final = ("--repl-diskless-sync-delay", "0")
"""A replica is served as soon as it asks, instead of after five seconds."""

DOWN_AFTER: Final = 1_500
"""Milliseconds of silence after which the Sentinels of a quorum hold a server to be gone."""

NEVER: Final = 600_000


def start_replica(
    primary: RedisServer, *, binary: str | None = None, config: Sequence[str] = ()
) -> RedisServer:
    """Start a replica of an empty server that listens on TCP, and wait until it follows it."""
    follow = ("--replicaof", "127.0.0.1", str(primary.port))
    replica = start_redis(binary=binary, tcp=True, config=(*follow, *PROMPT, *config))
    wait_for(lambda: _role(replica)["master_link_status"] == "up", what="a replica")
    return replica


class Sentinel:
    """One Sentinel on a free port; with others it watches the primary on another one."""

    def __init__(
        self,
        primary: int | None,
        *,
        binary: str | None = None,
        config: Sequence[str] = (),
        down_after: int = NEVER,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sh-", dir="/tmp"))
        self.port = free_port()
        file = self.folder / "sentinel.conf"
        lines = (
            f"port {self.port}",
            f'dir "{self.folder}"',
            f'logfile "{self.folder}/sentinel.log"',
            f"sentinel monitor {MASTER} 127.0.0.1 {primary} 2",
            f"sentinel down-after-milliseconds {MASTER} {down_after}",
            f"sentinel failover-timeout {MASTER} 3000",
            *config,
        )
        file.write_text("".join(f"{line}\n" for line in lines))
        self.process = subprocess.Popen(
            [binary or redis_binary(), str(file), "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - prctl alone
        )
        wait_for(lambda: listening(self.port), what="a Sentinel")

    def command(self, *words: str) -> None:
        """Tell it something about the primary."""
        with redis_py.Redis(port=self.port) as client:
            client.execute_command("SENTINEL", *words)

    def pause(self) -> None:
        """Stop it from answering, its port left open."""
        self.process.send_signal(signal.SIGSTOP)

    def state(self, **options: Any) -> dict[str, Any]:
        """Return what it knows of the primary."""
        with redis_py.Redis(port=self.port, **options) as client:
            found: dict[str, Any] = client.sentinel_master(MASTER)
            return found

    def close(self) -> None:
        """End it and remove its folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Quorum:
    """A primary, replicas and three Sentinels that know each other; `primary` is who began."""

    def __init__(
        self, *, replicas: int = 1, binary: str | None = None, config: Sequence[str] = ()
    ) -> None:
        self.primary = start_redis(binary=binary, tcp=True, config=(*PROMPT, *config))
        self.replicas = [
            start_replica(self.primary, binary=binary, config=config) for _ in range(replicas)
        ]
        self.sentinels = [
            Sentinel(self.primary.port, binary=binary, down_after=DOWN_AFTER) for _ in range(3)
        ]
        wait_for(self._complete, what="three Sentinels to know each other")

    @property
    def url(self) -> str:
        """The URL for clients."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}/0"

    def promoted(self) -> RedisServer:
        """Wait until every Sentinel names another primary, and return that one."""
        by_port = {one.port: one for one in self.replicas}

        def probe() -> RedisServer | None:
            named = {int(one.state()["port"]) for one in self.sentinels}
            chosen = by_port.get(named.pop()) if len(named) == 1 else None
            return chosen if chosen and _role(chosen)["role"] == "master" else None

        found = wait_for(probe, what="a failover")
        assert found is not None
        return found

    def rejoin(self, server: RedisServer, primary: RedisServer) -> None:
        """Start a killed server as what a supervisor makes of it: a replica of the new primary."""
        server.start()
        with server.client() as client:
            client.replicaof("127.0.0.1", primary.port)

    def close(self) -> None:
        """End everything."""
        for one in (*self.sentinels, *self.replicas, self.primary):
            one.close()

    def _complete(self) -> bool:
        others, followers = len(self.sentinels) - 1, len(self.replicas)
        states = [one.state() for one in self.sentinels]
        return all(
            (state["num-other-sentinels"], state["num-slaves"]) == (others, followers)
            for state in states
        )


def _role(server: RedisServer) -> dict[str, Any]:
    with server.client() as client:
        found: dict[str, Any] = client.info("replication")
        return found
