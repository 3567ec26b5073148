"""uvicorn's HTTP protocol, with a short way for a delivery that arrives in one piece.

Nearly every delivery does: its head and its body are in what one read returns. To such a request
a task, a scope and a handful of ASGI messages add nothing but their cost, which is more than that
of everything else that happens here. Whatever is not whole, plain and alone on its connection
takes the long way: uvicorn's own, to the ASGI application.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from receiver.web.problems import Answer
from receiver.web.webhook import DEFAULT_PATH, Webhook, scan

CLOSE: Final = (b"connection", b"close")
"""The header with which an answer is the last on its connection."""

MAX_HEAD_BYTES: Final = 64 << 10
"""What a request may send before its body begins; counted by reads, so it may be one more."""

MAX_ARRIVED_BYTES: Final = 1 << 20
"""What may wait for the end of a turn to be parsed; beyond it, it is parsed at once."""

_IN_A_BODY: Final = -math.inf

_URL: Final = re.compile(re.escape(DEFAULT_PATH.encode()) + rb"(?:/([A-Za-z0-9._-]+))?")
"""Paths that are taken as they stand: no query, nothing escaped."""

_log = structlog.get_logger("receiver.web")


class Arrivals:
    """What the connections of a server read in one turn of the loop, to be parsed in the next.

    Each read leaves the processor's caches to the kernel. To read everything first, and then do
    all that follows for all of it, makes a tenth more of the same processor.
    """

    def __init__(self) -> None:
        self._reads: list[tuple[WholeProtocol, bytes]] = []
        self._size = 0

    def add(self, protocol: WholeProtocol, data: bytes) -> None:
        """Take what one read returned."""
        if not self._reads:
            asyncio.get_running_loop().call_soon(self._parse)
        self._reads.append((protocol, data))
        self._size += len(data)
        if self._size > MAX_ARRIVED_BYTES:
            self._parse()

    def _parse(self) -> None:
        reads, self._reads, self._size = self._reads, [], 0
        for protocol, data in reads:
            try:
                protocol.parse(data)
            except Exception as error:  # noqa: BLE001 - its neighbours of this turn go on
                _log.error("connection.broke", exc_info=error)
                protocol.transport.abort()


class _Whole(NamedTuple):
    """A delivery whose body is on its way; `began` is a reading of the performance counter."""

    endpoint: str | None
    signed: bytes | None
    began: float
    parts: list[bytes]


class Exchange:
    """A whole delivery that waits for its answer; to uvicorn, it stands for a request under way.

    A connection has one at a time: it is the same object for all of them.
    """

    __slots__ = (
        "_closes", "_common", "_common_of", "_protocol",
        "disconnected", "keep_alive", "message_event", "response_complete",
    )  # fmt: skip

    def __init__(self, protocol: WholeProtocol) -> None:
        self._protocol = protocol
        self._common_of: object = None
        self._common = b""
        self._closes = False
        self.message_event = asyncio.Event()
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = True

    def reply(self, answer: Answer) -> None:
        """Send the answer, unless nobody is left to hear it."""
        self.response_complete = True
        if self.disconnected:
            return
        protocol = self._protocol
        if protocol.server_state.default_headers is not self._common_of:
            self._read_common(protocol.server_state.default_headers)
        common, closes = self._common, self._closes
        if not (self.keep_alive or closes):
            common, closes = common + b"%b: %b\r\n" % CLOSE, True
        protocol.transport.write(b"".join((answer.head, common, answer.rest)))
        if closes:
            protocol.transport.close()
        protocol.on_response_complete()

    def _read_common(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Render the headers that the server has for every answer, and makes anew each second."""
        self._common = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        self._closes = CLOSE in headers
        self._common_of = headers


class WholeProtocol(HttpToolsProtocol):
    """Hands whole deliveries to the webhook, and everything else to the application.

    Args:
        webhook: what judges and answers deliveries.
        arrivals: what the connections of this server read.
        max_body_bytes: the size beyond which a body takes the long way, to be refused there.
        uvicorn: what uvicorn gives to a protocol.
    """

    def __init__(
        self, webhook: Webhook, arrivals: Arrivals, max_body_bytes: int, **uvicorn: Any
    ) -> None:
        super().__init__(**uvicorn)
        self._deliver: Final[Callable[..., None]] = webhook.deliver
        self._arrivals = arrivals
        self._max_body_bytes = max_body_bytes
        self._exchange = Exchange(self)
        self._whole: _Whole | None = None
        self._head_bytes: float = 0
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, on which a request must come within the time that one may be idle."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what one read returned, to parse it with what the others read in this turn."""
        self._arrivals.add(self, data)

    def parse(self, data: bytes) -> None:
        """Parse what one read returned, unless the connection ended meanwhile."""
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's head is too large.")
        if self._whole is not None:
            whole, self._whole = self._whole, None
            if not self.transport.is_closing():
                self._go_the_long_way(whole.parts)

    def on_message_begin(self) -> None:
        """Begin a request; what only the long way needs is made there."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._head_bytes = _IN_A_BODY
        matching = _URL.fullmatch(self.url)
        if matching is None or not self._plain():
            self._go_the_long_way([])
            return
        signed, declared = scan(self.headers)
        if declared is not None and declared > self._max_body_bytes:
            self._go_the_long_way([])
            return
        name = matching[1]
        endpoint = None if name is None else name.decode()
        self._whole = _Whole(endpoint, signed, time.perf_counter(), [])

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._whole is None:
            super().on_body(body)
        else:
            self._whole.parts.append(body)

    def on_message_complete(self) -> None:
        """Deliver what is whole."""
        self._head_bytes = 0
        whole, self._whole = self._whole, None
        if whole is None:
            super().on_message_complete()
            return
        raw = b"".join(whole.parts)
        if len(raw) > self._max_body_bytes:
            self._go_the_long_way([raw])
            super().on_message_complete()
            return
        exchange = self._exchange
        exchange.response_complete = False
        self.cycle = exchange  # type: ignore[assignment]  # of a request, uvicorn asks no more
        self._deliver(whole.endpoint, whole.signed, raw, whole.began, exchange.reply)

    def on_response_complete(self) -> None:
        """Turn to what the client sent meanwhile, or wait for it for as long as is kept alive.

        One timer looks again and again how long ago the last answer was: a timer for each answer
        costs as much as sending it.
        """
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def _wait(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait(self.timeout_keep_alive)
        elif left > 0:
            self._wait(left)
        else:
            self.timeout_keep_alive_handler()

    def _plain(self) -> bool:
        """Say whether this is a POST as nearly all are, with nothing before it unanswered."""
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
        )

    def _go_the_long_way(self, parts: list[bytes]) -> None:
        """Do what uvicorn does when a request's head is complete, and with what came of its body.

        A request that came before this one and is not answered yet goes first, as ever.
        """
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        for part in parts:
            super().on_body(part)
