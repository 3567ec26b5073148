"""SMTP sessions that end: a server that drips, talks without end or hangs is given up.

smtplib bounds single waits only; here the whole session has a time and its replies have a size.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from workers.outbound import ANSWER_BYTES, Limits

SESSION_SECONDS: Final = 20.0
"""Seconds for all of a session: an attempt ends within its delivery's lease."""

_CHUNK: Final = 4096


class TalkativeError(OSError):
    """The server said more than anyone should read."""


class _Replies:
    """What a server says, line by line, as smtplib reads it."""

    def __init__(self, sock: socket.socket, patience: Callable[[], float]) -> None:
        self._sock = sock
        self._patience = patience
        self._rest = b""
        self._left = ANSWER_BYTES

    def readline(self, limit: int) -> bytes:
        """Return the next line, empty at the end.

        Raises:
            OSError: it did not come in time, or is too long.
        """
        while b"\n" not in self._rest:
            if len(self._rest) >= limit:
                raise TalkativeError
            self._sock.settimeout(self._patience())
            chunk = self._sock.recv(_CHUNK)
            if not chunk:
                break
            self._left -= len(chunk)
            if self._left < 0:
                raise TalkativeError
            self._rest += chunk
        line, end, self._rest = self._rest.partition(b"\n")
        return line + end

    def close(self) -> None:
        """Have nothing to close: the socket is the session's."""


class Session(smtplib.SMTP):
    """A session within limits; `clock` is monotonic seconds."""

    file: Any  # how smtplib reads

    def __init__(
        self,
        host: str,
        port: int,
        hello: str,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._until = clock() + SESSION_SECONDS
        super().__init__(host, port, hello, timeout=limits.connect, **options)

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply within the limits."""
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock, self._patience)
        return super().getreply()

    def send(self, s: Any) -> None:
        """Send within what is left of the time."""
        if self.sock is not None:
            self.sock.settimeout(self._patience())
        super().send(s)

    def _patience(self) -> float:
        """Return for how long the next wait may be."""
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError
        return min(self._limits.read, left)


class EncryptedSession(Session, smtplib.SMTP_SSL):
    """A session that is encrypted from the first word; `context` says whom to trust."""

    def __init__(
        self, host: str, port: int, hello: str, limits: Limits, *, context: ssl.SSLContext
    ) -> None:
        super().__init__(host, port, hello, limits, context=context)
