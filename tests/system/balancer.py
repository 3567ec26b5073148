"""A load balancer on loopback that follows readiness, as a Service's endpoints do."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
import urllib.error
import urllib.request
from itertools import count
from typing import Final

POLL: Final = 0.2
CHUNK: Final = 65_536


class Balancer:
    """Gives each new connection to one of the places that said last that they are ready, in turn.

    A connection stays where it is until either side closes it, whatever its place says meanwhile.
    `refused` are the ports of places that were ready and did not take a connection.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.refused: list[int] = []
        self._admins: dict[int, int] = {}
        self._ready: tuple[int, ...] = ()
        self._turn = count()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._follow, self._accept)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, port: int, admin: int) -> None:
        """Know a place by its port, and the admin port that says whether it is ready."""
        self._admins = {**self._admins, port: admin}

    def forget(self, port: int) -> None:
        """Forget a place that is gone."""
        self._admins = {known: at for known, at in self._admins.items() if known != port}

    def is_ready(self, port: int) -> bool:
        """Say whether connections go to a place."""
        return port in self._ready

    def close(self) -> None:
        """Take no more connections."""
        self._closed.set()
        # closing alone does not wake a thread that waits in accept
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _follow(self) -> None:
        while not self._closed.is_set():
            self._ready = tuple(port for port, admin in self._admins.items() if says_ready(admin))
            time.sleep(POLL)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            ready = self._ready
            if not ready:
                return
            port = ready[next(self._turn) % len(ready)]
            try:
                place = socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                self.refused.append(port)
                return
            with place:
                _join(client, place)


def says_ready(admin: int) -> bool:
    """Say whether the process with this admin port is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _join(client: socket.socket, place: socket.socket) -> None:
    """Carry bytes both ways until one side closes."""
    with selectors.DefaultSelector() as selector:
        for one, other in ((client, place), (place, client)):
            selector.register(one, selectors.EVENT_READ, other)
        while True:
            for key, _ in selector.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                try:
                    data = source.recv(CHUNK)
                    if not data:
                        return
                    key.data.sendall(data)
                except OSError:
                    return
