"""Bounds on what a stranger may make this process hold: bytes of bodies, and seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Final, NamedTuple

from starlette.types import Message, Receive

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


class Deadlines:
    """Interrupts tasks that take too long, with one timer for all of them.

    All deadlines are equally long, so that the oldest entry is always the first: entering and
    leaving is a dict operation, where a time-out of its own for each request costs microseconds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._armed = False

    def enter(self, task: asyncio.Task[object]) -> None:
        """Start the clock of `task`."""
        loop = task.get_loop()
        self._running[task] = loop.time() + self._seconds
        if not self._armed:
            self._armed = True
            loop.call_later(self._seconds, self._sweep, loop)

    def leave(self, task: asyncio.Task[object]) -> None:
        """Stop the clock of `task`."""
        self._running.pop(task, None)

    def expired(self, task: asyncio.Task[object]) -> bool:
        """Say, once, whether the cancellation that `task` just saw came from here."""
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        task.uncancel()
        return True

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, deadline in list(self._running.items()):
            if deadline > now:
                loop.call_at(deadline, self._sweep, loop)
                return
            del self._running[task]
            self._overdue.add(task)
            task.cancel()
        self._armed = False


class _Resumed:
    """An awaitable that goes on where the first step of another one stopped."""

    def __init__(self, waiting: Generator[Any, None, Message], pending: Any) -> None:
        self._waiting = waiting
        self._pending = pending

    def __await__(self) -> Generator[Any, None, Message]:
        try:
            yield self._pending
        except BaseException as error:  # whatever it is, it is meant for the other
            self._waiting.throw(error)
            raise
        return (yield from self._waiting)


class BodyReader:
    """Reads bodies within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deadlines = Deadlines(limits.body_timeout)
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
        waiting = receive().__await__()
        try:
            pending = next(waiting)
        except StopIteration as arrived:
            # The body came with its headers, as nearly every one does: there is nothing to time.
            message: Message = arrived.value
            if message["type"] == "http.request" and not message.get("more_body", False):
                return self._bounded(message.get("body", b""))
            return await self._timed(self._rest(receive, message))
        return await self._timed(self._rest_after(receive, _Resumed(waiting, pending)))

    async def _timed(self, reading: Coroutine[Any, Any, bytes]) -> bytes:
        """Read on under a deadline."""
        task = asyncio.current_task()
        assert task is not None
        self._deadlines.enter(task)
        try:
            return await reading
        except asyncio.CancelledError:
            if self._deadlines.expired(task):
                raise RequestError(Offence.BODY_TIMEOUT) from None
            raise
        finally:
            self._deadlines.leave(task)

    async def _rest_after(self, receive: Receive, first: Awaitable[Message]) -> bytes:
        return await self._rest(receive, await first)

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self._limits.max_body_bytes:
            raise RequestError(Offence.BODY_TOO_LARGE)
        return body

    async def _rest(self, receive: Receive, message: Message) -> bytes:
        """Read on, holding a share of the common budget for what has come."""
        held = 0
        parts: list[bytes] = []
        size = 0
        try:
            while True:
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
                message = await receive()
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
