"""`python -m receiver`: settings, two servers in one event loop, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import prometheus_client
import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from receiver import logs
from receiver.errors import SettingsError
from receiver.settings import ReceiverSettings, load
from receiver.web.app import Edge, create_edge
from receiver.web.protocol import CLOSE, Arrivals, WholeProtocol

EXIT_SETTINGS: Final = 2

KEEP_ALIVE: Final = 90
"""Seconds: longer than a load balancer's idle time, so that it never writes into a closing one."""

MAX_CONNECTIONS: Final = 8_192
COLLECTOR: Final = (20_000, 20, 20)
BACKLOG: Final = 2_048

_log = structlog.get_logger("receiver")


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process, which has two of them to stop."""

    def drain(self) -> None:
        """Close each connection with its next answer, so that none is cut when all are closed."""
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Run the receiver until it is told to stop, and return the exit status."""
    # When a series was created says nothing that its value does not, and doubles the page.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        settings = load(ReceiverSettings, environ)
        lines = logs.configure(settings.log_level, settings.log_format)
        edge = create_edge(settings, lines)
        public = _listen("SYNAP_PORT", settings.host, settings.port)
        admin = _listen("SYNAP_ADMIN_PORT", settings.host, settings.admin_port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, edge, public, admin))
    except SettingsError as error:
        sys.stderr.write("The receiver cannot start:\n")
        sys.stderr.writelines(f"  {problem}\n" for problem in error.problems)
        return EXIT_SETTINGS
    return 0


async def _serve(
    settings: ReceiverSettings, edge: Edge, public: socket.socket, admin: socket.socket
) -> None:
    told = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _tell, told, number)
    whole = partial(WholeProtocol, edge.webhook, Arrivals(), settings.max_body_bytes)
    front, back = _server(edge.app, http=whole), _server(edge.admin)
    async with edge.running():
        _calm_collector()
        serving = asyncio.create_task(front.serve([public]))
        overseeing = asyncio.create_task(back.serve([admin]))
        _log.info("server.started", port=_port(public), admin_port=_port(admin))
        await asyncio.wait([told, serving, overseeing], return_when=asyncio.FIRST_COMPLETED)
        edge.health.stop()
        front.drain()
        _log.info("server.stopping")
        # A person at a terminal waits for nobody's endpoint list to be brought up to date.
        if told.done() and told.result() == signal.SIGTERM:
            await asyncio.sleep(settings.shutdown_delay)
        front.should_exit = True
        await serving
    back.should_exit = True
    await overseeing
    _log.info("server.stopped")


def _calm_collector() -> None:
    """Keep full garbage collections, which stop every request for 20 ms, from coming often.

    What is alive now lives as long as the process; requests leave next to no cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)


def _tell(told: asyncio.Future[int], number: int) -> None:
    if not told.done():
        told.set_result(number)


def _server(app: ASGIApp, *, http: Any = "httptools") -> Server:
    return Server(
        uvicorn.Config(
            app,
            http=http,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            limit_concurrency=MAX_CONNECTIONS,
            backlog=BACKLOG,
        )
    )


def _listen(variable: str, host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        text = f"{variable}: cannot listen on {host} port {port}: {error.strerror}; choose another"
        raise SettingsError([text]) from None


def _port(listening: socket.socket) -> int:
    number: int = listening.getsockname()[1]
    return number


if __name__ == "__main__":
    sys.exit(main())
