"""Faults on demand: what a server does that is not its day."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import NamedTuple

from starlette.responses import Response


class Fault(NamedTuple):
    """One bad answer.

    `hang` seconds pass first. `taken` says that the request is carried out all the same, so that
    only its answer is lost. `path` limits the fault to paths that contain it, `method` likewise.
    """

    status: int = 500
    body: bytes = b'{"error": "internal", "code": "INTERNAL", "details": {}}'
    headers: Mapping[str, str] = {}
    hang: float = 0.0
    taken: bool = False
    path: str = ""
    method: str = ""
    then: tuple[Fault, ...] = ()

    def meets(self, method: str, path: str) -> bool:
        """Say whether a request is met by this fault."""
        return self.path in path and self.method in ("", method)


class Faults:
    """Faults that wait for their request: each is used once; standing ones meet every request."""

    def __init__(self) -> None:
        self._once: list[Fault] = []
        self._standing: list[Fault] = []
        self._closing = threading.Event()

    def next(self, *faults: Fault) -> None:
        """Queue faults, used once each, in order."""
        self._once += faults

    def standing(self, *faults: Fault) -> None:
        """Set the faults that meet every request from now on; none clears them."""
        self._standing = list(faults)

    def release(self) -> None:
        """Let every request go that hangs."""
        self._closing.set()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that meets this request, if any."""
        for position, fault in enumerate(self._once):
            if fault.meets(method, path):
                self._standing += fault.then
                return self._once.pop(position)
        return next((fault for fault in self._standing if fault.meets(method, path)), None)

    async def answer(self, fault: Fault) -> Response:
        """Wait as long as the fault says, but no longer than the server lives, then answer."""
        if fault.hang:
            await asyncio.to_thread(self._closing.wait, fault.hang)
        headers = {"content-type": "application/json", **fault.headers}
        return Response(fault.body, fault.status, headers)
