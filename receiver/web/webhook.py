"""The webhook itself: read within bounds, verify, parse, commit, answer.

A raw ASGI application: at tens of thousands of deliveries a second the objects of a request and
a response cost more than everything else that happens here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from receiver import signature
from receiver.batch import Outcome, Submission
from receiver.errors import EventError, Flaw, HookError, Offence, RequestError
from receiver.event import DEFAULT_ENDPOINT, parse
from receiver.keyring import Keyring
from receiver.settings import CLOCK_SKEW
from receiver.web.journal import Entry, Journal
from receiver.web.limits import BodyReader, linger
from receiver.web.problems import (
    ACCEPTED,
    BODY_TOO_LARGE,
    DISCONNECTED,
    DUPLICATE,
    INTERNAL_ERROR,
    NOT_FOUND,
    QUARANTINED,
    Answer,
    answer_of,
)

_ANSWER_OF: Final = {
    Outcome.ACCEPTED: ACCEPTED,
    Outcome.DUPLICATE: DUPLICATE,
    Outcome.QUARANTINED: QUARANTINED,
}
_AMBIGUOUS: Final = b""
"""Stands for a signature header that came twice: which one is meant is not ours to guess."""

_MAX_DIGITS: Final = 18

_log = structlog.get_logger("receiver.web")


class Commits(Protocol):
    """Where verified deliveries go."""

    def submit(self, submission: Submission) -> asyncio.Future[Outcome]:
        """Return what becomes of a submission, once it is committed."""
        ...


class Webhook:
    """Answers deliveries; every request ends in one answer, one line, and one count."""

    def __init__(
        self,
        keyring: Keyring,
        commits: Commits,
        reader: BodyReader,
        journal: Journal,
        *,
        freshness_window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keyring = keyring
        self._commits = commits
        self._reader = reader
        self._journal = journal
        self._freshness_window = freshness_window
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        entry = Entry()
        try:
            answer = await self._receive(scope, receive, entry)
        except HookError as error:
            answer = answer_of(error)
        except Exception:  # noqa: BLE001  # unforeseen: the sender keeps the event, and tries again
            _log.exception("request.failed")
            answer = INTERNAL_ERROR
        if answer is BODY_TOO_LARGE:
            await _send_and_linger(answer, receive, send)
        elif answer is not DISCONNECTED:
            await send(answer.start)
            await send(answer.body)
        entry.answer = answer
        entry.seconds = time.perf_counter() - began
        self._journal.add(entry)

    async def _receive(self, scope: Scope, receive: Receive, entry: Entry) -> Answer:
        if scope["method"] != "POST":
            raise RequestError(Offence.METHOD_NOT_ALLOWED)
        signed, declared = scan(scope["headers"])
        raw = await self._reader.read(receive, declared)
        entry.size = len(raw)
        received_at = self._clock()
        params = scope.get("path_params")
        endpoint = params.get("endpoint", DEFAULT_ENDPOINT) if params else DEFAULT_ENDPOINT
        entry.label = self._keyring.verify(endpoint, raw, signed).label
        entry.endpoint = endpoint
        submission = self._judge(raw, endpoint, entry.label, received_at)
        entry.event = submission.event
        outcome = await self._commits.submit(submission)
        if outcome is Outcome.CONFLICT:
            submission = submission._replace(flaw=Flaw.CONFLICT)
            outcome = await self._commits.submit(submission)
        entry.flaw = submission.flaw
        return _ANSWER_OF[outcome]

    def _judge(self, raw: bytes, endpoint: str, label: str, received_at: float) -> Submission:
        """Parse a verified body and say whether it can be processed."""
        try:
            event = parse(raw, endpoint=endpoint, received_at=received_at)
        except EventError as error:
            return Submission(None, raw, endpoint, label, received_at, Flaw(error.reason))
        flaw = None
        age = received_at - event.timestamp
        if age > self._freshness_window:
            flaw = Flaw.STALE
        elif age < -CLOCK_SKEW:
            flaw = Flaw.FUTURE
        return Submission(event, raw, endpoint, label, received_at, flaw)


class NotFound:
    """Answers every path that is not the webhook's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, without looking at it."""
        del scope, receive
        await send(NOT_FOUND.start)
        await send(NOT_FOUND.body)
        entry = Entry()
        entry.answer = NOT_FOUND
        self._journal.add(entry)


def scan(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes | None, int | None]:
    """Return the signature and the declared length of the body, found in one pass."""
    found: bytes | None = None
    declared: int | None = None
    for name, value in headers:
        if name == signature.HEADER:
            found = value if found is None else _AMBIGUOUS
        elif name == b"content-length" and value.isdigit():
            declared = int(value[:_MAX_DIGITS])
    return found, declared


async def _send_and_linger(answer: Answer, receive: Receive, send: Send) -> None:
    await send(answer.start)
    await send({**answer.body, "more_body": True})
    await linger(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
