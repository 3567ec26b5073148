"""The workers' admin port: `/livez`, `/readyz` and `/metrics`, served by the supervisor.

The standard library's server is enough: a probe and a scraper now and then, a few at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.worker_registration import get_keys

from receiver.broker import Keys

MAX_SKEW: Final = 5.0
HUNG_AFTER: Final = 15.0
MAX_AT_ONCE: Final = 8
CLIENT_SECONDS: Final = 5.0
SHUTDOWN_POLL: Final = 0.1

Route = Callable[[], "Answer"]

_log = structlog.get_logger("workers.admin")


class Answer(NamedTuple):
    """One HTTP answer."""

    status: HTTPStatus
    content_type: str
    body: bytes


def json_answer(status: HTTPStatus, content: Mapping[str, Any]) -> Answer:
    """Return a JSON answer."""
    return Answer(status, "application/json", orjson.dumps(content))


class Probes:
    """Answers about the health of a supervisor and of what it stands on.

    Args:
        beat: monotonic seconds of the supervise loop's last round.
        stopping: whether the supervisor ends.
        queues: the queues that this supervisor serves.
        redis: a client with short time-outs, used from several threads.
    """

    def __init__(
        self,
        *,
        beat: Callable[[], float],
        stopping: Callable[[], bool],
        queues: tuple[str, ...],
        redis: Redis,
        keys: Keys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._beat = beat
        self._stopping = stopping
        self._queues = queues
        self._redis = redis
        self._keys = keys
        self._clock = clock

    def livez(self) -> Answer:
        """Say whether the supervise loop goes round; asks nobody else."""
        if time.monotonic() - self._beat() > HUNG_AFTER:
            return json_answer(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "hung"})
        return json_answer(HTTPStatus.OK, {"status": "ok"})

    def readyz(self) -> Answer:
        """Say whether all that work needs is there, and if not, what is missing."""
        checks = {"supervisor": "stopping" if self._stopping() else "ok", **self._dependencies()}
        ready = all(state == "ok" for state in checks.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return json_answer(status, {"ready": ready, "checks": checks})

    def _dependencies(self) -> dict[str, str]:
        try:
            seconds, microseconds = self._redis.time()
            skew = self._clock() - (seconds + microseconds / 1e6)
            checks = {"redis": "ok", "clock": "ok" if abs(skew) <= MAX_SKEW else f"{skew:+.1f} s"}
            for queue in self._queues:
                checks[f"queue:{queue}"] = "ok" if self._served(queue) else "no live worker"
            checks["tick"] = "ok" if self._redis.exists(self._keys.tick) else "nobody leads"
        except RedisError as error:
            return {"redis": type(error).__name__}
        return checks

    def _served(self, queue: str) -> bool:
        """Say whether a worker whose heartbeat has not expired is registered for the queue."""
        workers = get_keys(Queue(queue, connection=self._redis))
        return bool(workers and self._redis.exists(*workers))


class AdminServer(ThreadingHTTPServer):
    """Answers a few clients at once, each within seconds; the others are turned away."""

    daemon_threads = True

    def __init__(self, host: str, port: int, routes: Mapping[str, Route]) -> None:
        self.routes = routes
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)
        super().__init__((host, port), _Handler)

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(
            target=self.serve_forever, args=(SHUTDOWN_POLL,), name="admin", daemon=True
        ).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the client in a thread if there is a place, else close the connection."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one client and free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away or were too slow."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the known paths; anything else is 501."""

    timeout = CLIENT_SECONDS
    server: AdminServer
    server_version = "synap-hooks"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer the route of the path."""
        answer = self._answer()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Write nothing: probes come every few seconds."""

    def _answer(self) -> Answer:
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            return json_answer(HTTPStatus.NOT_FOUND, {"error": "not found"})
        try:
            return route()
        except Exception as error:  # noqa: BLE001 - a probe is answered, whatever broke
            _log.error("admin.failed", path=self.path, error=type(error).__name__)
            return json_answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "failed"})


def routes(probes: Probes, render: Callable[[], bytes]) -> dict[str, Route]:
    """Return what the admin port answers.

    Args:
        probes: liveness and readiness.
        render: returns the metrics as Prometheus reads them.
    """
    return {
        "/livez": probes.livez,
        "/readyz": probes.readyz,
        "/metrics": lambda: Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, render()),
    }
