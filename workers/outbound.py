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
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx2

from receiver.errors import HookError

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 64 * 1024

_RATE_LIMITED: Final = 429
_TOO_LARGE: Final = 413
_RETRYABLE: Final = frozenset({408, 425, _RATE_LIMITED})
_UNAUTHORIZED: Final = frozenset({401, 403})
_LIBRARY_LOGGERS: Final = ("httpx2", "httpcore2")


class Reason(StrEnum):
    """Why an attempt failed: the metric label and the log key."""

    CLIENT_ERROR = "clientError"
    AUTH_ERROR = "authError"
    RATE_LIMITED = "rateLimited"
    SERVER_ERROR = "serverError"
    CANCELED = "contextCanceled"
    DEADLINE = "contextDeadlineExceeded"
    TOO_LARGE = "payloadTooLarge"
    OTHER = "other"


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


class Answer(NamedTuple):
    """What came back: status, headers with lower-case names, at most 64 KiB of body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what "2xx" means


class Sent(NamedTuple):
    """The target accepted it; `memory` is what its notifier wants to know next time.

    `note` is the target's own id of what it accepted, if it gave one.
    """

    note: str = ""
    memory: Mapping[str, str] | None = None


class Retry(NamedTuple):
    """It may succeed later; `after` is the wait in seconds that the target asked for."""

    reason: Reason
    detail: str
    after: float | None = None
    ambiguous: bool = False


class Permanent(NamedTuple):
    """The same call will never succeed."""

    reason: Reason
    detail: str


Verdict = Sent | Retry | Permanent


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
        self._read = read
        self._clock = clock
        # At INFO these write every URL, hence secrets, to whatever listens.
        for name in _LIBRARY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(read, connect=connect, pool=connect),
            follow_redirects=False,
            headers={"user-agent": "synap-hooks", "accept-encoding": "identity"},
        )

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one JSON body.

        Raises:
            OutboundError: no whole answer came; the message shows scheme and host alone.
        """
        where = redact(url)
        if not callable_url(url):
            raise AddressError(f"{where}: not an http or https URL")
        started = self._clock()
        sent = {"content-type": "application/json", **(headers or {})}
        try:
            with self._client.stream("POST", url, content=body, headers=sent) as response:
                return self._read_answer(response, where, started)
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

    def _read_answer(self, response: httpx2.Response, where: str, started: float) -> Answer:
        """Read the body as it is sent; a server that drips is given up like one that hangs."""
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise OversizedError(f"{where}: the answer is over {ANSWER_BYTES} bytes")
            if self._clock() - started > self._read:
                raise BrokenError(f"{where}: no whole answer in time", Reason.DEADLINE)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body))


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
    reason, detail = _reason(outcome.status), f"status {outcome.status}"
    if reason is Reason.SERVER_ERROR or outcome.status in _RETRYABLE:
        return Retry(reason, detail, retry_after(outcome.headers, now))
    return Permanent(reason, detail)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a target asks to wait: `Retry-After`, else `X-Ratelimit-Reset`."""
    asked = headers.get("retry-after", "").strip()
    if asked and not asked.isdecimal():
        try:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - now)
        except ValueError:
            return None
    seconds = asked or headers.get("x-ratelimit-reset", "").strip()
    return float(seconds) if seconds.isdecimal() else None


def _reason(status: int) -> Reason:
    if status == _RATE_LIMITED:
        return Reason.RATE_LIMITED
    if status in _UNAUTHORIZED:
        return Reason.AUTH_ERROR
    if status == _TOO_LARGE:
        return Reason.TOO_LARGE
    if status >= 500:  # noqa: PLR2004 - what "5xx" means
        return Reason.SERVER_ERROR
    return Reason.CLIENT_ERROR if status >= 400 else Reason.OTHER  # noqa: PLR2004 - "4xx"
