"""Slow, lying and endless bodies over real sockets against a real uvicorn."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from receiver.errors import RequestError, UnavailableError
from receiver.web.limits import BodyReader, Limits, linger
from tests.build import signed
from tests.receiver.web.asgi import PATH, Bench
from tests.servers import Served

Serve = Callable[..., Served]

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()


def talk(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send raw bytes with a pause between them and return all that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        while not answer.partition(b"\r\n\r\n")[2]:
            received = connection.recv(65536)
            if not received:
                break
            answer += received
        return answer


@pytest.fixture(params=["short way", "long way"])
def edge(serve: Serve, request: pytest.FixtureRequest) -> Served:
    """Return a served edge with 0.3 s for a body of at most 1 KiB, under either protocol."""
    bench = Bench(SYNAP_MAX_BODY_BYTES="1024", SYNAP_BODY_TIMEOUT="0.3")
    return serve(bench.app, http=bench.protocol if request.param == "short way" else "httptools")


BODY, SIGNED = signed()
SIGNATURE = f"X-Synap-Signature: {SIGNED['x-synap-signature']}\r\n".encode()
DECLARED = b"Content-Length: %d\r\n\r\n" % len(BODY)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param([HEAD + SIGNATURE + DECLARED + BODY], 202, id="at once"),
        pytest.param([HEAD + SIGNATURE + DECLARED, BODY], 202, id="head first"),
        pytest.param(
            [HEAD + SIGNATURE + DECLARED + BODY[:5], BODY[5:9], BODY[9:]], 202, id="in pieces"
        ),
        pytest.param(
            [HEAD + SIGNATURE + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY), BODY,
             b"\r\n0\r\n\r\n"], 202, id="chunked",
        ),
        pytest.param([HEAD + b"Content-Length: 9\r\n\r\n"], 408, id="nothing comes"),
        pytest.param([HEAD + b"Content-Length: 9\r\n\r\n1", b"2", b"3"], 408, id="trickle"),
        pytest.param([HEAD + b"Content-Length: 9000\r\n\r\n"], 413, id="declared, not sent"),
        pytest.param([HEAD + b"Content-Length: 9000\r\n\r\n" + b"x" * 9000], 413, id="too large"),
        pytest.param(
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + b"x" * 4095], 413, id="chunk"
        ),
        pytest.param([HEAD + b"Content-Length: x\r\n\r\n"], 400, id="no number"),
        pytest.param([HEAD + b"Content-Length: -1\r\n\r\n"], 400, id="negative"),
        pytest.param([HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12"], 400, id="two"),
        pytest.param([b"POST /\xff HTTP/1.1\r\nHost: x\r\n\r\n"], 400, id="path not ASCII"),
        pytest.param([b"POST /%ff%00%0a HTTP/1.1\r\nHost: x\r\n\r\n"], 404, id="odd path"),
        pytest.param([HEAD + b"X-Synap-Signature: \xff\xfe\r\n\r\n"], 401, id="header not ASCII"),
        pytest.param([HEAD + b"X-Synap-Signature: a\x00b\r\n\r\n"], 400, id="NUL in a header"),
        pytest.param([b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % PATH.encode()], 405, id="GET"),
        pytest.param([b"GET %b HTTP/1.0\r\n\r\n" % PATH.encode()], 405, id="HTTP/1.0"),
        pytest.param([b"rubbish\r\n\r\n"], 400, id="no HTTP"),
    ],
)  # fmt: skip
def test_raw_requests(edge: Served, parts: list[bytes], status: int) -> None:
    """Every way to send a body has its answer, and none is a 500."""
    answer = talk(edge.port, *parts, pause=0.05)

    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_slow_client_is_let_go(edge: Served) -> None:
    """After the deadline the connection is closed, however long the client would go on."""
    began = time.monotonic()

    answer = talk(edge.port, HEAD + b"Content-Length: 9\r\n\r\n1")

    assert b'"code":"body_timeout"' in answer
    assert 0.25 < time.monotonic() - began < 3


def test_a_large_upload_hears_its_answer(edge: Served) -> None:
    """What a refused client still sends is read, so that no reset eats the answer."""
    size = 4 << 20
    answer = talk(edge.port, HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)

    assert b'"code":"body_too_large"' in answer
    assert b"connection: close" in answer


def test_a_client_that_hangs_up_harms_nobody(edge: Served) -> None:
    """The next request is answered as ever."""
    with socket.create_connection(("127.0.0.1", edge.port)) as connection:
        connection.sendall(HEAD + DECLARED + BODY[:5])

    assert talk(edge.port, HEAD + SIGNATURE + DECLARED + BODY).startswith(b"HTTP/1.1 202 ")


def test_a_deadline_is_each_request_s_own(edge: Served) -> None:
    """One timer serves all: the quick ones are let through while slow ones run out."""
    slow = [socket.create_connection(("127.0.0.1", edge.port), timeout=5) for _ in range(5)]
    for connection in slow:
        connection.sendall(HEAD + b"Content-Length: 9\r\n\r\n1")
        time.sleep(0.05)

    quick = talk(edge.port, HEAD + SIGNATURE + DECLARED + BODY)

    assert quick.startswith(b"HTTP/1.1 202 ")
    for connection in slow:
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        connection.close()


async def test_pending_bytes_are_bounded() -> None:
    """Beyond the common budget of unfinished bodies, the next one is told to come later."""
    reader = BodyReader(Limits(1000, 5.0, pending_bytes=1500))
    held = asyncio.Event()

    async def half() -> dict[str, object]:
        if held.is_set():
            await asyncio.sleep(30)
        held.set()
        return {"type": "http.request", "body": b"x" * 800, "more_body": True}

    async def more() -> dict[str, object]:
        return {"type": "http.request", "body": b"x" * 800, "more_body": True}

    first = asyncio.create_task(reader.read(half, None))
    await held.wait()
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="overloaded"):
        await reader.read(more, None)

    assert reader.pending_bytes == 800
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert reader.pending_bytes == 0


async def test_a_deadline_interrupts_once() -> None:
    """The task is cancelled by the deadline and can go on afterwards."""
    reader = BodyReader(Limits(1000, 0.05))

    async def never() -> dict[str, object]:
        await asyncio.sleep(30)
        return {}

    with pytest.raises(RequestError, match="body_timeout"):
        await reader.read(never, None)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_lingering_ends() -> None:
    """An endless sender is listened to for a bounded time only."""
    count = 0

    async def endless() -> dict[str, object]:
        nonlocal count
        count += 1
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    await linger(endless)

    assert count == 16


async def test_lingering_is_short() -> None:
    """A client that sends nothing more is not waited for."""

    async def never() -> dict[str, object]:
        await asyncio.sleep(30)
        return {}

    began = time.monotonic()
    await linger(never, 0.05)

    assert time.monotonic() - began < 5
