"""The load: pre-signed requests, each body once, over 64 connections; wrk, else our own client."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, cast

import orjson
import uvloop

from receiver.signature import SigningKey, sign
from tests.bench.apps import PATH
from tests.build import SECRET, make_event

CONNECTIONS = 64
BODY_BYTES = 500
WRK = shutil.which("wrk")
SCRIPT = Path(__file__).with_name("load.lua")


class Load(NamedTuple):
    """What one run of the load saw; latencies in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def prepare(path: Path, count: int, *, tag: str, event_type: str = "ingestion.failed") -> Path:
    """Write `count` whole requests with distinct event ids to a file, and return its path."""
    key = SigningKey("bench", SECRET.encode())
    template = make_event(event_type, event_id="@" * 20, data={"padding": ""})
    short = BODY_BYTES - len(orjson.dumps(template))
    assert short >= 0, "the sample has outgrown the bench's body"
    template["data"]["padding"] = "x" * short
    before, after = orjson.dumps(template).split(b"@" * 20)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {BODY_BYTES}\r\nX-Synap-Signature: "
    ).encode()
    with path.open("wb") as file:
        for number in range(count):
            body = b"%b%b%012d%b" % (before, f"evt_{tag:_<4.4}".encode(), number, after)
            request = b"%b%b\r\n\r\n%b" % (head, sign(body, key).encode(), body)
            file.write(b"%d\n%b" % (len(request), request))
    return path


def read(path: Path) -> Iterator[bytes]:
    """Yield the requests of a file that `prepare` wrote."""
    with path.open("rb") as file:
        while line := file.readline():
            yield file.read(int(line))


def run(port: int, requests: Path, *, seconds: int) -> Load:
    """Send the requests of the file, each once, as fast as the server answers.

    Raises:
        RuntimeError: the load could not run.
    """
    if WRK is None:
        return uvloop.run(send(port, requests, seconds=seconds))
    command = [WRK, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(SCRIPT)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"],
        env={**os.environ, "SYNAP_BENCH_REQUESTS": str(requests)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"wrk said nothing:\n{done.stdout}{done.stderr}")
    return Load(**json.loads(lines[0].removeprefix("RESULT ")))


class _Client(asyncio.Protocol):
    """One connection that sends its next request when the last is answered."""

    def __init__(self, requests: Iterator[bytes], times: list[float]) -> None:
        self.requests, self.times = requests, times
        self.done = asyncio.get_running_loop().create_future()
        self.refused = 0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass
        self._next()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, gap, rest = self.buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(rest) < length:
            return
        self.times.append(time.perf_counter() - self.began)
        self.refused += not head.startswith(b"HTTP/1.1 2")
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))

    def _next(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.done.set_result(None)
            self.transport.close()
            return
        self.buffer = b""
        self.began = time.perf_counter()
        self.transport.write(request)


async def send(port: int, path: Path, *, seconds: float = float("inf")) -> Load:
    """Send the requests of the file with our own client, until they or the seconds are used up."""
    loop, times = asyncio.get_running_loop(), list[float]()
    stored = list(read(path))
    began = time.perf_counter()
    requests = takewhile(lambda _: time.perf_counter() - began < seconds, stored)
    made = [
        await loop.create_connection(lambda: _Client(requests, times), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    clients = [client for _, client in made]
    results = await asyncio.gather(*(client.done for client in clients), return_exceptions=True)
    taken = time.perf_counter() - began
    times.sort()
    return Load(
        requests=len(times),
        seconds=taken,
        p50_ms=times[len(times) // 2] * 1e3,
        p99_ms=times[len(times) * 99 // 100] * 1e3,
        refused=sum(client.refused for client in clients),
        broken=sum(isinstance(result, BaseException) for result in results),
    )
