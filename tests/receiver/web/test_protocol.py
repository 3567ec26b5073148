"""The short way of whole deliveries, over real sockets: the answers of the long way, in order."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from receiver.batch import Outcome, Submission
from receiver.intake import Settle
from receiver.web.protocol import MAX_ARRIVED_BYTES, Arrivals, WholeProtocol
from tests.build import make_event, signed
from tests.receiver.web.asgi import PATH, Bench
from tests.servers import Served, wait_for

Serve = Callable[..., Served]


def request(*more: str, path: str = PATH, forged: bool = False, **event: Any) -> bytes:
    """Return a whole signed delivery with some more header lines."""
    body, headers = signed(make_event(**event))
    signature = headers["x-synap-signature"]
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(body)}",
        f"X-Synap-Signature: {signature[:-4] + '0000' if forged else signature}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answers(connection: socket.socket, count: int) -> list[bytes]:
    """Return the next answers of a connection, each whole; fewer if it is closed."""
    read, text = re.compile(rb"content-length: (\d+)\r\n(?:.+\r\n)*\r\n"), b""
    found: list[bytes] = []
    while len(found) < count:
        head = read.search(text)
        if head and len(text) >= head.end() + int(head[1]):
            end = head.end() + int(head[1])
            found.append(text[:end])
            text = text[end:]
            continue
        received = connection.recv(65536)
        if not received:
            break
        text += received
    return found


def statuses(found: list[bytes]) -> list[int]:
    """Return the statuses of answers."""
    return [int(answer[9:12]) for answer in found]


@contextlib.contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    """Yield a connection to a server."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        yield connection


class Held:
    """Commits that last until they are let go."""

    def __init__(self) -> None:
        self.waiting: list[Settle] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, submission: Submission, settle: Settle) -> None:
        """Keep a submission waiting."""
        del submission
        self._loop = asyncio.get_running_loop()
        self.waiting.append(settle)

    def let_go(self) -> None:
        """Let the oldest commit be done."""
        assert self._loop
        self._loop.call_soon_threadsafe(self.waiting.pop(0), Outcome.ACCEPTED)


def held(serve: Serve, **options: float) -> tuple[Bench, Held, Served]:
    """Return a served edge whose commits last until they are let go."""
    bench, commits = Bench(), Held()
    bench.webhook._commits = commits
    return bench, commits, serve(bench.app, http=bench.protocol, **options)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(request(), id="accepted"),
        pytest.param(request(forged=True), id="forged"),
        pytest.param(request(path=f"{PATH}/default"), id="by name"),
        pytest.param(request(path=f"{PATH}/nobody"), id="unknown endpoint"),
        pytest.param(request(path=f"{PATH}?a=1"), id="with a query"),
        pytest.param(request(path=f"{PATH}/def%61ult"), id="escaped"),
        pytest.param(request(path=f"{PATH}/"), id="trailing slash"),
        pytest.param(request("Connection: close"), id="close"),
        pytest.param(request("Upgrade: h2c", "Connection: Upgrade"), id="upgrade"),
        pytest.param(request("X-Synap-Signature: sha256=0"), id="signed twice"),
    ],
)
def test_both_ways_answer_alike(serve: Serve, sent: bytes) -> None:
    """Which way a request took cannot be told from its answer, nor from its line."""
    heard: list[list[bytes]] = []
    lines: list[list[tuple[object, ...]]] = []
    for short in (True, False):
        bench = Bench()
        served = serve(bench.app, http=bench.protocol if short else "httptools")
        with connected(served) as connection:
            connection.sendall(sent)
            (answer,) = answers(connection, 1)
        assert re.search(rb"\r\ndate: .+ GMT\r\n", answer)
        heard.append(sorted(re.sub(rb"date: .+ GMT|server: uvicorn", b"", answer).split(b"\r\n")))
        wait_for(lambda seen=bench: bool(seen.lines), what="the line")  # type: ignore[misc]
        lines.append(
            [(line["status"], line["reason"], line.get("endpoint")) for line in bench.lines]
        )

    # the long way is uvicorn's own server here, which names itself in a header of its own
    assert [line for line in heard[0] if line] == [line for line in heard[1] if line]
    assert lines[0] == lines[1]


def test_a_connection_is_kept(serve: Serve) -> None:
    """Deliveries follow each other on one connection, refused ones as well."""
    bench = Bench()
    served = serve(bench.app, http=bench.protocol)

    with connected(served) as connection:
        for sent in (request(), request(forged=True), request(path="/"), request()):
            connection.sendall(sent)
            (answer,) = answers(connection, 1)
            assert b"connection: close" not in answer

    wait_for(lambda: len(bench.lines) == 4, what="the lines")
    assert [line["status"] for line in bench.lines] == [202, 401, 404, 202]


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    """What comes before its turn waits, whichever way it takes."""
    bench, commits, served = held(serve)
    ways = [request(), request(forged=True), request(path="/"), request(), request()]

    with connected(served) as connection:
        connection.sendall(b"".join(ways))
        for _ in range(3):
            wait_for(lambda: bool(commits.waiting), what="a commit")
            commits.let_go()
        found = answers(connection, 5)

    assert statuses(found) == [202, 401, 404, 202, 202]
    wait_for(lambda: len(bench.lines) == 5, what="the lines")


def test_a_client_that_does_not_read_is_not_served_further(serve: Serve) -> None:
    """Its answers wait, it is not read from, and in the end it gets them all."""
    count = 6_000
    bench = Bench()
    served = serve(bench.app, http=bench.protocol)

    with connected(served) as connection:
        sending = threading.Thread(target=connection.sendall, args=(request() * count,))
        sending.start()
        time.sleep(0.3)
        found = answers(connection, count)
        sending.join()

    assert statuses(found) == [202] * count


def test_an_idle_connection_is_closed(serve: Serve) -> None:
    """After its time-out, counted from the last answer, a silent connection is let go."""
    bench = Bench()
    served = serve(bench.app, http=bench.protocol, timeout_keep_alive=0.4)

    with connected(served) as connection:
        for _ in range(3):
            connection.sendall(request())
            assert statuses(answers(connection, 1)) == [202]
            time.sleep(0.25)
        began = time.monotonic()
        end = connection.recv(1)

    assert end == b""
    assert time.monotonic() - began < 5


def test_a_head_must_come_in_time(serve: Serve) -> None:
    """Who trickles a head, byte by byte, holds a connection no longer than who says nothing."""
    bench = Bench()
    served = serve(bench.app, http=bench.protocol, timeout_keep_alive=0.4)

    with connected(served) as connection:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 8:
                connection.sendall(b"X")
                time.sleep(0.05)

    assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    "line",
    [pytest.param(b"X-A: " + b"b" * 120 + b"\r\n", id="lines"), pytest.param(b"x", id="one")],
)
def test_a_head_without_end(serve: Serve, line: bytes) -> None:
    """A head is read up to a bound, whether it is many lines or one."""
    bench = Bench()
    served = serve(bench.app, http=bench.protocol)
    start = f"POST {PATH} HTTP/1.1\r\nX-Long: ".encode()

    with connected(served) as connection:
        connection.sendall(start + b"a\r\n" if line.endswith(b"\n") else start)
        with contextlib.suppress(OSError):
            for _ in range(64):
                connection.sendall((line * 16_384)[:16_384])
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"too large" in answer


def test_a_waiting_connection_is_not_idle(serve: Serve) -> None:
    """A commit may take longer than a connection may be idle."""
    _, commits, served = held(serve, timeout_keep_alive=0.1)

    with connected(served) as connection:
        for _ in range(2):
            connection.sendall(request())
            wait_for(lambda: bool(commits.waiting), what="the commit")
            time.sleep(0.35)
            commits.let_go()
            assert statuses(answers(connection, 1)) == [202]


def test_a_server_that_stops_answers_first(serve: Serve) -> None:
    """What was delivered before the end is answered, and told that the connection ends."""
    _, commits, served = held(serve)

    with connected(served) as connection:
        connection.sendall(request())
        wait_for(lambda: bool(commits.waiting), what="the commit")
        stopping = threading.Thread(target=served.close)
        stopping.start()
        time.sleep(0.3)
        commits.let_go()
        (answer,) = answers(connection, 1)
        end = connection.recv(1)
        stopping.join()

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"connection: close\r\n" in answer
    assert end == b""


def test_a_header_of_the_server_s_own_closes(serve: Serve) -> None:
    """When the server says for every answer that it is the last, it is."""
    bench = Bench()
    served = serve(bench.app, http=bench.protocol, headers=[("connection", "close")])

    with connected(served) as connection:
        connection.sendall(request())
        (answer,) = answers(connection, 1)
        end = connection.recv(1)

    assert answer.count(b"connection: close\r\n") == 1
    assert end == b""


def test_a_client_that_leaves_is_logged_all_the_same(serve: Serve) -> None:
    """Its event is committed; the answer reaches nobody, and nothing breaks."""
    bench, commits, served = held(serve)

    with connected(served) as connection:
        connection.sendall(request())
        wait_for(lambda: bool(commits.waiting), what="the commit")
    time.sleep(0.1)
    commits.let_go()
    wait_for(lambda: bool(bench.lines), what="the line")

    assert [line["status"] for line in bench.lines] == [202]
    with connected(served) as connection:
        connection.sendall(request(path="/"))
        assert statuses(answers(connection, 1)) == [404]


class Parsing:
    """A connection, and its transport, that keeps what it is given to parse."""

    def __init__(self, error: Exception | None = None) -> None:
        self.transport = self
        self.aborted = False
        self.parsed: list[bytes] = []
        self._error = error

    def parse(self, data: bytes) -> None:
        """Keep what one read returned, or break."""
        if self._error is not None:
            raise self._error
        self.parsed.append(data)

    def abort(self) -> None:
        """Close at once."""
        self.aborted = True


async def test_what_breaks_one_connection_leaves_the_others_alone() -> None:
    """What one turn read is parsed together in the next; each connection goes on by itself."""
    arrivals = Arrivals()
    first, broken, last = Parsing(), Parsing(RuntimeError("unforeseen")), Parsing()

    for number, connection in enumerate((first, broken, last)):
        arrivals.add(cast("WholeProtocol", connection), b"%d" % number)
    before = [*first.parsed, *last.parsed]
    await asyncio.sleep(0)

    assert (before, first.parsed, last.parsed) == ([], [b"0"], [b"2"])
    assert (first.aborted, broken.aborted, last.aborted) == (False, True, False)


async def test_more_than_a_turn_may_keep_is_parsed_at_once() -> None:
    """Large bodies do not pile up in memory until the turn ends, and none is parsed twice."""
    arrivals = Arrivals()
    connection = Parsing()
    piece = b"x" * (MAX_ARRIVED_BYTES // 3)

    for _ in range(4):
        arrivals.add(cast("WholeProtocol", connection), piece)
    at_once = len(connection.parsed)
    await asyncio.sleep(0)

    assert (at_once, len(connection.parsed)) == (4, 4)


def test_too_many_connections(serve: Serve) -> None:
    """Beyond the limit a delivery is told to come again, and those within it are served."""
    bench = Bench()
    served = serve(bench.app, http=bench.protocol, limit_concurrency=2)

    with connected(served) as first:
        first.sendall(request())
        found = answers(first, 1)
        with connected(served) as second:
            second.sendall(request())
            found += answers(second, 1)

    assert statuses(found) == [202, 503]
