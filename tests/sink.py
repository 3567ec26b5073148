"""A recording HTTP server on 127.0.0.1: the target of notifications in tests and in the demo."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.servers import wait_for


class Answer(NamedTuple):
    """What the sink answers; `hang` seconds pass before it does."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = {}
    hang: float = 0.0


class Seen(NamedTuple):
    """One request that arrived; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Sink:
    """Record every request and answer as told.

    `answer(...)` sets what every path answers, `answer(..., path=...)` one path alone, and
    `answer_next(...)` queues answers that are used once, in order, before any of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._seen: list[Seen] = []
        self._once: list[Answer] = []
        self._by_path: dict[str | None, Answer] = {None: Answer()}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def seen(self) -> list[Seen]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return list(self._seen)

    def answer(
        self,
        status: int = 200,
        body: bytes = b"{}",
        *,
        headers: Mapping[str, str] | None = None,
        hang: float = 0.0,
        path: str | None = None,
    ) -> None:
        """Set the standing answer of one path, or of all that have none of their own."""
        with self._lock:
            self._by_path[path] = Answer(status, body, headers or {}, hang)

    def answer_next(self, *answers: Answer) -> None:
        """Queue answers that are used once, in order."""
        with self._lock:
            self._once.extend(answers)

    def wait(self, count: int = 1, *, seconds: float = 10.0) -> list[Seen]:
        """Return all requests once there are at least `count`."""
        wait_for(
            lambda: len(self.seen) >= count, seconds=seconds, what=f"{count} requests at the sink"
        )
        return self.seen

    def take(self, request: Seen) -> Answer:
        """Record one request and return its answer."""
        with self._lock:
            self._seen.append(request)
            if self._once:
                return self._once.pop(0)
            return self._by_path.get(request.path, self._by_path[None])

    def hang(self, seconds: float) -> None:
        """Wait, but no longer than the sink lives."""
        self._released.wait(seconds)

    def close(self) -> None:
        """Stop listening; requests that hang are let go."""
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        # else a client on a kept connection waits 40 ms for the body that follows the head
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = sink.take(Seen(self.command, self.path, headers, body))
            if answer.hang:
                sink.hang(answer.hang)
            try:
                self._reply(answer)
            except OSError:  # the client went away while it was made to wait
                self.close_connection = True

        def _reply(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the suite reads `seen`."""

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's

    return Handler
