"""What can go wrong with a call of Synap's API.

    ApiError
    ├── TransientError          the same call may succeed later
    │   ├── UnreachableError    nothing was sent
    │   ├── TimedOutError       no whole answer came; the request may have been taken
    │   ├── RateLimitedError    429: refused, wait `retry_after`
    │   ├── ServerError         5xx; the request may have been taken
    │   └── BudgetError         not sent: this client's own allowance or time is spent
    └── PermanentError          the request or the credentials have to be mended first
        ├── InvalidInputError   400, and any other 4xx that is not named here
        ├── UnauthenticatedError 401
        ├── CreditsError        402
        ├── ForbiddenError      403
        ├── NotFoundError       404
        ├── ConflictError       409
        │   └── AlreadyActiveError
        ├── UnreadableError     an answer that is none of this API; it may have been taken
        └── NotConfiguredError  there is no API key to call with

Each carries `code` (the API's own, or ours where nothing was answered), `status` (0 without an
answer), `correlation_id` (the one to tell Synap's support) and `reason`, of the closed set
`Reason`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from receiver.errors import HookError


class Reason(StrEnum):
    """Why a call failed: the metric label and the log key."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    BUDGET = "budget"
    INVALID_INPUT = "invalid_input"
    UNAUTHENTICATED = "unauthenticated"
    CREDITS = "credits"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    ALREADY_ACTIVE = "already_active"
    UNREADABLE = "unreadable"
    NOT_CONFIGURED = "not_configured"


class ApiError(HookError):
    """A call of Synap's API did not come to a good answer.

    `ambiguous` is True when the request may have been carried out all the same. The message holds
    no credential and nothing of the request.
    """

    reason: str = Reason.INVALID_INPUT
    ambiguous: bool = False

    def __init__(
        self, message: str, *, code: str = "", status: int = 0, correlation_id: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code or self.reason.upper()
        self.status = status
        self.correlation_id = correlation_id

    def __str__(self) -> str:
        named = f"{self.args[0]} ({self.code}"
        status = f", status {self.status}" if self.status else ""
        correlation = f", correlation id {self.correlation_id}" if self.correlation_id else ""
        return f"{named}{status}{correlation})"


class TransientError(ApiError):
    """The same call may succeed later; `retry_after` is the wait in seconds that was asked for."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        correlation_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status, correlation_id=correlation_id)
        self.retry_after = retry_after


class UnreachableError(TransientError):
    """Nothing was sent: no connection."""

    reason = Reason.UNREACHABLE


class TimedOutError(TransientError):
    """No whole answer came in time; the request may have been taken."""

    reason = Reason.TIMED_OUT
    ambiguous = True


class RateLimitedError(TransientError):
    """Refused: too many calls."""

    reason = Reason.RATE_LIMITED


class ServerError(TransientError):
    """The server failed; the request may have been taken."""

    reason = Reason.SERVER_ERROR
    ambiguous = True


class BudgetError(TransientError):
    """Not sent: this client's allowance is spent, or there is no time left for a call."""

    reason = Reason.BUDGET


class PermanentError(ApiError):
    """The same call will fail again until somebody mends it."""


class InvalidInputError(PermanentError):
    """The request is wrong."""


class UnauthenticatedError(PermanentError):
    """The API key was refused."""

    reason = Reason.UNAUTHENTICATED


class CreditsError(PermanentError):
    """The account has no credits left."""

    reason = Reason.CREDITS


class ForbiddenError(PermanentError):
    """The API key may not do this; most often it belongs to another instance."""

    reason = Reason.FORBIDDEN


class NotFoundError(PermanentError):
    """There is no such instance or configuration."""

    reason = Reason.NOT_FOUND


class ConflictError(PermanentError):
    """The configuration's status does not allow it."""

    reason = Reason.CONFLICT


class AlreadyActiveError(ConflictError):
    """The configuration is the active one already."""

    reason = Reason.ALREADY_ACTIVE


class UnreadableError(PermanentError):
    """What was answered is nothing that this API answers; the request may have been taken."""

    reason = Reason.UNREADABLE
    ambiguous = True


class NotConfiguredError(PermanentError):
    """There is no API key to call with."""

    reason = Reason.NOT_CONFIGURED


_ALREADY_ACTIVE: Final = "CONFIG_ALREADY_ACTIVE"
_BY_STATUS: Final[dict[int, type[PermanentError]]] = {
    401: UnauthenticatedError,
    402: CreditsError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
}


def permanent_of(status: int, code: str) -> type[PermanentError]:
    """Return the error that a 4xx status and its code stand for; 429 is none of them."""
    if code == _ALREADY_ACTIVE:
        return AlreadyActiveError
    return _BY_STATUS.get(status, InvalidInputError)
