"""Every answer of the edge, rendered once; one table says which error gets which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from starlette.types import Message

from receiver.errors import HookError, Offence, Refusal, Shortage
from receiver.metrics import ANSWERS

RETRY_AFTER: Final = 30
"""Seconds; the sender's first retry comes after a minute anyway."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A rendered answer: as two ASGI messages and as bytes, and how it is counted and logged.

    Between the bytes of `head` and `rest` the server has room for headers of its own.
    """

    status: int
    reason: str
    start: Message
    body: Message
    head: bytes
    rest: bytes


def _render(
    reason: str, content: Mapping[str, str], headers: Mapping[bytes, bytes] | None = None
) -> Answer:
    body = orjson.dumps(content)
    status = ANSWERS[reason]
    lines = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(headers or {}).items(),
    ]
    return Answer(
        status,
        str(reason),
        {"type": "http.response.start", "status": status, "headers": lines},
        {"type": "http.response.body", "body": body, "more_body": False},
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode(),
        b"".join([b"%b: %b\r\n" % line for line in lines]) + b"\r\n" + body,
    )


def _refuse(
    reason: str, code: str, text: str, headers: Mapping[bytes, bytes] | None = None
) -> Answer:
    return _render(reason, {"error": text, "code": code}, headers)


ACCEPTED: Final = _render("accepted", {"status": "accepted"})
DUPLICATE: Final = _render("duplicate", {"status": "duplicate"})
QUARANTINED: Final = _render("quarantined", {"status": "quarantined"})
NOT_FOUND: Final = _refuse(Offence.NOT_FOUND, "not_found", "There is nothing at this path.")
METHOD_NOT_ALLOWED: Final = _refuse(
    Offence.METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "Webhooks are delivered with POST.",
    {b"allow": b"POST"},
)

BODY_TOO_LARGE: Final = _refuse(
    Offence.BODY_TOO_LARGE,
    "body_too_large",
    "The body is over the limit.",
    {b"connection": b"close"},
)
BODY_TIMEOUT: Final = _refuse(
    Offence.BODY_TIMEOUT,
    "body_timeout",
    "The body came too slowly.",
    {b"connection": b"close"},
)
DISCONNECTED: Final = Answer(
    ANSWERS[Offence.DISCONNECTED], Offence.DISCONNECTED.value, {}, {}, b"", b""
)
"""Never sent: the client left before it could be answered."""


def _unauthorized(reason: str) -> Answer:
    return _refuse(reason, "unauthorized", "The signature is missing or does not hold.")


def _unavailable(reason: str) -> Answer:
    return _refuse(
        reason,
        "unavailable",
        "The event is not committed; please deliver it again.",
        {b"retry-after": str(RETRY_AFTER).encode()},
    )


INTERNAL_ERROR: Final = _unavailable("internal_error")

_REFUSED: Final = (NOT_FOUND, METHOD_NOT_ALLOWED, BODY_TOO_LARGE, BODY_TIMEOUT, DISCONNECTED)

_OF_ERROR: Final[Mapping[str, Answer]] = {
    **{answer.reason: answer for answer in _REFUSED},
    **{reason.value: _unauthorized(reason.value) for reason in Refusal},
    **{reason.value: _unavailable(reason.value) for reason in Shortage},
}


def answer_of(error: HookError) -> Answer:
    """Return the answer to an error that ended a request."""
    return _OF_ERROR.get(error.reason, INTERNAL_ERROR)
