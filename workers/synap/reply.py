"""What came back from a call: a good answer's object, or the error that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from workers.outbound import Answer, OutboundError, OversizedError, Reason, retry_after
from workers.outbound import UnreachableError as NoConnectionError
from workers.reading import LABEL_CHARS, clean, written
from workers.synap.errors import (
    ApiError,
    NotConfiguredError,
    RateLimitedError,
    ServerError,
    TimedOutError,
    UnreachableError,
    UnreadableError,
    permanent_of,
)

CORRELATION: Final = "x-correlation-id"
RATE_LIMITED: Final = 429

_OK_FROM, _OK_UNTIL = 200, 300
_REFUSED_FROM, _FAILED_FROM = 400, 500


class Reply(NamedTuple):
    """A good answer: a JSON object, and what it can be traced by."""

    body: Mapping[str, Any]
    status: int
    correlation_id: str


def unanswered(error: OutboundError, correlation: str) -> ApiError:
    """Return what it means that no answer came."""
    if isinstance(error, NoConnectionError):
        return UnreachableError("Synap cannot be reached", correlation_id=correlation)
    if isinstance(error, OversizedError):
        return UnreadableError("Synap's answer is too large", correlation_id=correlation)
    if error.reason == Reason.DEADLINE:
        return TimedOutError("Synap did not answer in time", correlation_id=correlation)
    if not error.retryable:
        return NotConfiguredError("SYNAP_API_URL is no URL that can be called")
    return TimedOutError("the connection to Synap broke", correlation_id=correlation)


def opened(answer: Answer, correlation: str, now: float) -> Reply:
    """Return a good answer's object.

    Args:
        answer: what came back.
        correlation: the id that was sent, for an answer that names none.
        now: Unix seconds, for a Retry-After that is a date.

    Raises:
        ApiError: what any other answer means.
    """
    body = _object(answer.body)
    traced = _correlation(answer, body or {}, correlation)
    status = answer.status
    if _OK_FROM <= status < _OK_UNTIL:
        if body is None:
            raise UnreadableError(
                "Synap's answer is no JSON object", status=status, correlation_id=traced
            )
        return Reply(body, status, traced)
    code = _code(body or {})
    text = clean(written((body or {}).get("error"))) or "Synap refused"
    if status == RATE_LIMITED:
        wait = retry_after(answer.headers, now)
        raise RateLimitedError(
            text, code=code, status=status, correlation_id=traced, retry_after=wait
        )
    if status >= _FAILED_FROM:
        wait = retry_after(answer.headers, now)
        raise ServerError(text, code=code, status=status, correlation_id=traced, retry_after=wait)
    if status < _REFUSED_FROM:
        raise UnreadableError(
            "Synap's answer leads elsewhere", status=status, correlation_id=traced
        )
    raise permanent_of(status, code)(text, code=code, status=status, correlation_id=traced)


def _object(raw: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _within(body: Mapping[str, Any], name: str) -> str:
    """Return a text of an error body, from its top or from its details (which some call detail)."""
    places = (body, body.get("details"), body.get("detail"))
    found = (written(place.get(name)) for place in places if isinstance(place, Mapping))
    return clean(next((text for text in found if text), ""), LABEL_CHARS)


def _code(body: Mapping[str, Any]) -> str:
    return _within(body, "code")


def _correlation(answer: Answer, body: Mapping[str, Any], own: str) -> str:
    sent_back = clean(answer.headers.get(CORRELATION, ""), LABEL_CHARS)
    return _within(body, "correlation_id") or sent_back or own
