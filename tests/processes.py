"""Processes of our own: `python -m <module>`, free ports, and waiting with an end."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 20.0
PR_SET_PDEATHSIG = 1

T = TypeVar("T")


def wait_for(probe: Callable[[], T], *, seconds: float = START_SECONDS, what: str = "it") -> T:
    """Return the first truthy answer of `probe`.

    Raises:
        TimeoutError: there was none within `seconds`; names `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := probe():
            return answer
        time.sleep(0.01)
    raise TimeoutError(f"waited {seconds:g} s for {what}")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Say whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_with_parent() -> None:
    """Ask the kernel to end this process with the thread that started it (Linux; else nothing).

    A suite that is killed leaves no servers behind.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Module:
    """`python -m <module>` as a process of its own; its output goes to a file.

    The environment is exactly what is given, with PATH and the coverage variables added;
    `cpu` pins it to one core.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environ: Mapping[str, str],
        log: Path,
        cpu: int | None = None,
    ) -> None:
        self.name, self.log = module, log
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        kept |= {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=kept | dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - prctl alone
            )
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def wait_listening(self, port: int) -> Self:
        """Wait until it accepts connections on a port of 127.0.0.1.

        Raises:
            RuntimeError: it ended before; carries the end of its output.
        """

        def probe() -> bool:
            if not self.alive:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{tail}")
            return listening(port)

        wait_for(probe, what=f"{self.name} on port {port}")
        return self

    def kill(self) -> None:
        """Kill it as the kernel would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self, *, seconds: float = 30.0) -> int:
        """Send SIGTERM and return its exit status; kill it when that takes too long."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
