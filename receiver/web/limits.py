"""Bounds on what a stranger may make this process hold: bytes of bodies, and seconds."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from starlette.types import Receive

from receiver.errors import Offence, RequestError, Shortage, UnavailableError

PENDING_BYTES: Final = 64 << 20
"""Bytes of unfinished bodies held at once, over all connections."""

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 16 << 20


class Limits(NamedTuple):
    """What one request, and all together, may take; `body_timeout` is seconds."""

    max_body_bytes: int
    body_timeout: float
    pending_bytes: int = PENDING_BYTES


class BodyReader:
    """Reads bodies within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pending_bytes = 0

    async def read(self, receive: Receive, declared: int | None) -> bytes:
        """Return the whole body.

        Args:
            receive: the ASGI channel.
            declared: the content length that the headers promise, if any.

        Raises:
            RequestError: too large, too slow, or the client left.
            UnavailableError: too many bytes are on their way already.
        """
        if declared is not None and declared > self._limits.max_body_bytes:
            raise RequestError(Offence.BODY_TOO_LARGE)
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                return await self._whole(receive)
        except TimeoutError:
            raise RequestError(Offence.BODY_TIMEOUT) from None

    async def _whole(self, receive: Receive) -> bytes:
        """Read all parts, holding a share of the common budget for what has come."""
        held = 0
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise RequestError(Offence.DISCONNECTED)
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > self._limits.max_body_bytes:
                    raise RequestError(Offence.BODY_TOO_LARGE)
                held += self._take(len(part))
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
        finally:
            self.pending_bytes -= held

    def _take(self, count: int) -> int:
        if self.pending_bytes + count > self._limits.pending_bytes:
            raise UnavailableError(Shortage.OVERLOADED)
        self.pending_bytes += count
        return count


async def linger(receive: Receive, seconds: float = LINGER_SECONDS) -> None:
    """Discard what a refused client still sends, for some seconds and 16 MiB at most.

    Closing while bytes are unread resets the connection, and the client would lose the answer.
    """
    discarded = 0
    try:
        async with asyncio.timeout(seconds):
            while discarded < LINGER_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
