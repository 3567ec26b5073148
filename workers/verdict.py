"""What became of a call: accepted, worth another attempt, or refused for good; and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, NamedTuple

RETRYABLE: Final = frozenset({408, 425, 429})
"""Statuses that may pass, beside those of 5xx."""

_RATE_LIMITED: Final = 429
_TOO_LARGE: Final = 413
_UNAUTHORIZED: Final = frozenset({401, 403})
_EPOCHS: Final = 1e9
"""A number of seconds above which it can only be a moment."""


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


class Sent(NamedTuple):
    """The target accepted it; `memory` is what its notifier wants to know next time.

    `note` is the target's own id of what it accepted, if it gave one.
    """

    note: str = ""
    memory: Mapping[str, str] | None = None


class Retry(NamedTuple):
    """It may succeed later; `after` is the wait in seconds that the target asked for.

    `memory` is what was achieved all the same, by a message of several calls; None for nothing.
    """

    reason: Reason
    detail: str
    after: float | None = None
    ambiguous: bool = False
    memory: Mapping[str, str] | None = None


class Permanent(NamedTuple):
    """The same call will never succeed; `memory` as that of `Retry`."""

    reason: Reason
    detail: str
    memory: Mapping[str, str] | None = None


Verdict = Sent | Retry | Permanent


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a target asks to wait: `Retry-After`, else `X-Ratelimit-Reset`.

    The reset is seconds from now, or a moment in Unix seconds where it is too large for a wait.
    """
    asked = headers.get("retry-after", "").strip()
    if asked and not asked.isdecimal():
        try:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - now)
        except ValueError:
            return None
    if asked:
        return float(asked)
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not reset.isdecimal():
        return None
    return max(0.0, float(reset) - now) if float(reset) > _EPOCHS else float(reset)


def reason_of(status: int) -> Reason:
    """Return why an answer with this status, which is no success, is a failure."""
    if status == _RATE_LIMITED:
        return Reason.RATE_LIMITED
    if status in _UNAUTHORIZED:
        return Reason.AUTH_ERROR
    if status == _TOO_LARGE:
        return Reason.TOO_LARGE
    if status >= 500:  # noqa: PLR2004 - what "5xx" means
        return Reason.SERVER_ERROR
    return Reason.CLIENT_ERROR if status >= 400 else Reason.OTHER  # noqa: PLR2004 - "4xx"
