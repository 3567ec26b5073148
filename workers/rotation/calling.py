"""HTTP calls of the adapters that speak to a server of the operator's own.

One call, one connection, one attempt; errors are named by status, what was said is never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, NamedTuple

import orjson

from workers.outbound import Answer, Outbound, OutboundError, Permanent, Retry, classify
from workers.outbound import Reason as Outcome
from workers.rotation.errors import PermanentError, PortError, Reason, TransientError

_REASONS: Final[Mapping[Outcome, Reason]] = {
    Outcome.CLIENT_ERROR: Reason.INVALID,
    Outcome.AUTH_ERROR: Reason.DENIED,
    Outcome.RATE_LIMITED: Reason.RATE_LIMITED,
    Outcome.SERVER_ERROR: Reason.SERVER_ERROR,
    Outcome.CANCELED: Reason.UNREACHABLE,
    Outcome.DEADLINE: Reason.TIMEOUT,
    Outcome.TOO_LARGE: Reason.INVALID,
    Outcome.OTHER: Reason.INVALID,
}
_CONFLICT: Final = 409


class Request(NamedTuple):
    """What is sent; `name` begins every error, `also` are statuses that are answers as well."""

    name: str
    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    also: frozenset[int] = frozenset()


def call(request: Request, now: float) -> Answer:
    """Send a request once and return its answer: 2xx, or a status that it names.

    Args:
        request: what is sent.
        now: Unix seconds, for a Retry-After that is a date.

    Raises:
        PortError: it was refused, or no answer came.
    """
    with closing(Outbound()) as outbound:
        try:
            answer = outbound.post(
                request.url, request.body, request.headers, method=request.method
            )
        except OutboundError as error:
            raise _no_answer(request.name, error) from None
    if answer.ok or answer.status in request.also:
        return answer
    raise _refusal(request.name, answer, now)


def json_of(answer: Answer, name: str) -> Any:
    """Return what an answer holds.

    Raises:
        PermanentError: it is no JSON.
    """
    try:
        return orjson.loads(answer.body)
    except ValueError:
        raise PermanentError(Reason.INVALID, f"{name}: the answer is no JSON") from None


def _no_answer(name: str, error: OutboundError) -> PortError:
    if not error.retryable:
        return PermanentError(Reason.INVALID, f"{name}: {error}")
    late = error.reason == Outcome.DEADLINE
    return TransientError(Reason.TIMEOUT if late else Reason.UNREACHABLE, f"{name}: {error}")


def _refusal(name: str, answer: Answer, now: float) -> PortError:
    said = f"{name}: status {answer.status}"
    if answer.status == _CONFLICT:
        return TransientError(Reason.CONFLICT, said)
    verdict = classify(answer, now)
    assert isinstance(verdict, Retry | Permanent)
    reason = _REASONS[verdict.reason]
    if isinstance(verdict, Permanent):
        return PermanentError(reason, said)
    return TransientError(
        Reason.TIMEOUT if reason is Reason.INVALID else reason, said, after=verdict.after
    )
