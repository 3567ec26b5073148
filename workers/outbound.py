"""The one way out: a guarded HTTP client, and what an answer means for the next attempt.

    OutboundError
    ├── UnreachableError   nothing was sent: the connection never stood
    ├── BrokenError        the answer never came whole; the request may have been taken
    ├── OversizedError     the answer is larger than anyone should read
    └── AddressError       the URL is none that can be called

No redirects, TLS verified, short time-outs, answers read up to 64 KiB. URLs of targets often
carry a secret: nothing of them but scheme and host is ever shown.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx2

from receiver.errors import HookError
from workers.verdict import (
    RETRYABLE,
    Permanent,
    Reason,
    Retry,
    Sent,
    Verdict,
    reason_of,
    retry_after,
)

__all__ = [
    "ANSWER_BYTES",
    "CONNECT_SECONDS",
    "READ_SECONDS",
    "AddressError",
    "Answer",
    "BrokenError",
    "Limits",
    "Outbound",
    "OutboundError",
    "OversizedError",
    "Permanent",
    "Reason",
    "Retry",
    "Sent",
    "UnreachableError",
    "Verdict",
    "callable_url",
    "classify",
    "redact",
    "retry_after",
]

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 64 * 1024

_LIBRARY_LOGGERS: Final = ("httpx2", "httpcore2")


class OutboundError(HookError):
    """A call did not come to an answer; `reason` is one of `Reason`.

    `ambiguous` is True when the other side may have taken the request all the same.
    """

    reason: str = Reason.OTHER
    ambiguous: bool = False
    retryable: bool = True

    def __init__(self, message: str, reason: Reason = Reason.OTHER) -> None:
        super().__init__(message)
        self.reason = reason


class UnreachableError(OutboundError):
    """Nothing was sent: the connection never stood."""


class BrokenError(OutboundError):
    """The request went out, at least in part, and no whole answer came back."""

    ambiguous = True


class OversizedError(OutboundError):
    """The answer is larger than anyone should read; its status is unknown to the caller."""

    ambiguous = True


class AddressError(OutboundError):
    """The URL is none that can be called."""

    retryable = False


class Limits(NamedTuple):
    """How long one call may take, stage by stage in seconds, and how much may come back."""

    connect: float
    read: float
    write: float
    answer_bytes: int = ANSWER_BYTES


class Answer(NamedTuple):
    """What came back: status, headers with lower-case names, a bounded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what "2xx" means


class Outbound:
    """A client whose calls are all guarded alike; safe to share between threads.

    Args:
        connect: seconds until a connection must stand.
        read: seconds until the whole answer must be there.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        connect: float = CONNECT_SECONDS,
        read: float = READ_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = Limits(connect, read, read)
        self._clock = clock
        # At INFO these write every URL, hence secrets, to whatever listens.
        for name in _LIBRARY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx2.Client(
            verify=_trust(),
            follow_redirects=False,
            headers={"user-agent": "synap-hooks", "accept-encoding": "identity"},
        )

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
    ) -> Answer:
        """Send one body, JSON unless the headers say otherwise.

        Raises:
            OutboundError: no whole answer came; the message shows scheme and host alone.
        """
        sent = {"content-type": "application/json", **(headers or {})}
        return self.call(method, url, body, sent)

    def call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        limits: Limits | None = None,
    ) -> Answer:
        """Make one call; without `limits` those of this client hold.

        Raises:
            OutboundError: no whole answer came; the message shows scheme and host alone.
        """
        where = redact(url)
        if not callable_url(url):
            raise AddressError(f"{where}: not an http or https URL")
        within = limits or self.limits
        timeout = httpx2.Timeout(
            connect=within.connect, read=within.read, write=within.write, pool=within.connect
        )
        started = self._clock()
        try:
            with self._client.stream(
                method, url, content=body, headers=dict(headers or {}), timeout=timeout
            ) as response:
                return self._read_answer(response, where, started, within)
        except httpx2.ConnectTimeout:
            raise UnreachableError(f"{where}: no connection in time", Reason.DEADLINE) from None
        except (httpx2.ConnectError, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            raise UnreachableError(f"{where}: {type(error).__name__}") from None
        except httpx2.TimeoutException:
            raise BrokenError(f"{where}: no answer in time", Reason.DEADLINE) from None
        except httpx2.TransportError as error:
            raise BrokenError(f"{where}: {type(error).__name__}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise AddressError(f"{where}: {type(error).__name__}") from None

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _read_answer(
        self, response: httpx2.Response, where: str, started: float, within: Limits
    ) -> Answer:
        """Read the body as it is sent; a server that drips is given up like one that hangs."""
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > within.answer_bytes:
                raise OversizedError(f"{where}: the answer is over {within.answer_bytes} bytes")
            if self._clock() - started > within.read:
                raise BrokenError(f"{where}: no whole answer in time", Reason.DEADLINE)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body))


@cache
def _trust() -> ssl.SSLContext:
    """Return the authorities that are trusted; to read them takes longer than most calls."""
    return httpx2.create_ssl_context()


def callable_url(url: str) -> bool:
    """Say whether the URL is one that `Outbound` would call."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def redact(url: str) -> str:
    """Return scheme and host of a URL; user, path and query may hold secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<redacted>"
    return f"{parts.scheme}://{parts.hostname}{port}/<redacted>" if parts.hostname else "<redacted>"


def classify(outcome: Answer | OutboundError, now: float) -> Verdict:
    """Say what an outcome means: accepted, worth another attempt, or refused for good.

    Args:
        outcome: the answer, or why there is none.
        now: Unix seconds, for a Retry-After that is a date.
    """
    if isinstance(outcome, OutboundError):
        reason = Reason(outcome.reason)
        if outcome.retryable:
            return Retry(reason, str(outcome), None, outcome.ambiguous)
        return Permanent(reason, str(outcome))
    if outcome.ok:
        return Sent()
    reason, detail = reason_of(outcome.status), f"status {outcome.status}"
    if reason is Reason.SERVER_ERROR or outcome.status in RETRYABLE:
        return Retry(reason, detail, retry_after(outcome.headers, now))
    return Permanent(reason, detail)
