"""The webhook itself: read within bounds, verify, parse, commit, answer.

It has two doors: `deliver` for a body that is there as a whole, and the ASGI application, which
reads the body first. At tens of thousands of deliveries a second, what a request and a response
are made of costs more than everything else that happens here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from receiver import signature
from receiver.batch import Outcome, Submission
from receiver.errors import EventError, Flaw, HookError, Offence, RequestError, UnavailableError
from receiver.event import DEFAULT_ENDPOINT, parse
from receiver.intake import Settle
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

DEFAULT_PATH: Final = "/webhooks/synap"

Reply = Callable[[Answer], None]
"""What takes the answer to a delivery."""

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

    def submit(self, submission: Submission, settle: Settle) -> None:
        """Tell `settle` what becomes of a submission, once it is committed."""
        ...


class _Delivery(NamedTuple):
    """A whole delivery that is not judged yet."""

    endpoint: str
    signed: bytes | None
    raw: bytes
    entry: Entry
    reply: Reply


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
        self._taken: list[_Delivery] = []

    def deliver(
        self, endpoint: str | None, signed: bytes | None, raw: bytes, began: float, reply: Reply
    ) -> None:
        """Take a whole delivery, to verify, parse and commit it before the loop's next turn ends.

        Args:
            endpoint: the name in the path, if there is one.
            signed: the signature's header.
            raw: the body.
            began: when it came, by the performance counter.
            reply: called once with the answer, when it is refused or committed.
        """
        entry = Entry(began)
        entry.size = len(raw)
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._judge)
        self._taken.append(_Delivery(endpoint or DEFAULT_ENDPOINT, signed, raw, entry, reply))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of an ASGI server."""
        began = time.perf_counter()
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            signed, raw = await self._read(scope, receive)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request has its answer
            self._end(Entry(began), _refusal(error), answered.set_result)
        else:
            endpoint = scope.get("path_params", {}).get("endpoint")
            self.deliver(endpoint, signed, raw, began, partial(_settle, answered))
        await _send(await answered, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[bytes | None, bytes]:
        """Return the signature's header and the body.

        Raises:
            RequestError: not a POST; or the body is too large, too slow, or not there.
            UnavailableError: too many bytes are on their way already.
        """
        if scope["method"] != "POST":
            raise RequestError(Offence.METHOD_NOT_ALLOWED)
        signed, declared = scan(scope["headers"])
        return signed, await self._reader.read(receive, declared)

    def _judge(self) -> None:
        """Judge what one turn of the loop brought, one step after the other for all of it.

        A step that is repeated finds its code and data in the processor's caches; one that is come
        back to after the others costs twice as much.
        """
        taken, self._taken = self._taken, []
        received_at = self._clock()
        verified = [delivery for delivery in taken if self._verified(delivery)]
        submissions = [self._parsed(delivery, received_at) for delivery in verified]
        for submission, delivery in zip(submissions, verified, strict=True):
            if submission is not None:
                self._submit(submission, delivery.entry, delivery.reply)

    def _verified(self, delivery: _Delivery) -> bool:
        """Say whether the signature holds; if not, the delivery has its answer."""
        endpoint, signed, raw, entry, reply = delivery
        try:
            entry.label = self._keyring.verify(endpoint, raw, signed).label
        except Exception as error:  # noqa: BLE001 - whatever it is, the request has its answer
            self._end(entry, _refusal(error), reply)
            return False
        entry.endpoint = endpoint
        return True

    def _parsed(self, delivery: _Delivery, received_at: float) -> Submission | None:
        """Return what is to be committed; None if that broke, and the delivery has its answer."""
        try:
            return self._submission(delivery, received_at)
        except Exception as error:  # noqa: BLE001 - its neighbours of this turn go on
            self._end(delivery.entry, _refusal(error), delivery.reply)
            return None

    def _submission(self, delivery: _Delivery, received_at: float) -> Submission:
        endpoint, _, raw, entry, _ = delivery
        label = entry.label or ""
        try:
            event = parse(raw, endpoint=endpoint, received_at=received_at)
        except EventError as error:
            return Submission(None, raw, endpoint, label, received_at, Flaw(error.reason))
        entry.event = event
        flaw = None
        age = received_at - event.timestamp
        if age > self._freshness_window:
            flaw = Flaw.STALE
        elif age < -CLOCK_SKEW:
            flaw = Flaw.FUTURE
        return Submission(event, raw, endpoint, label, received_at, flaw)

    def _submit(self, submission: Submission, entry: Entry, reply: Reply) -> None:
        try:
            self._commits.submit(submission, partial(self._settle, submission, entry, reply))
        except Exception as error:  # noqa: BLE001 - whatever it is, the request has its answer
            self._end(entry, _refusal(error), reply)

    def _settle(
        self,
        submission: Submission,
        entry: Entry,
        reply: Reply,
        outcome: Outcome | UnavailableError,
    ) -> None:
        if isinstance(outcome, UnavailableError):
            self._end(entry, _refusal(outcome), reply)
        elif outcome is Outcome.CONFLICT:
            self._submit(submission._replace(flaw=Flaw.CONFLICT), entry, reply)
        else:
            entry.flaw = submission.flaw
            self._end(entry, _ANSWER_OF[outcome], reply)

    def _end(self, entry: Entry, answer: Answer, reply: Reply) -> None:
        reply(answer)
        entry.answer = answer
        entry.seconds = time.perf_counter() - entry.began
        self._journal.add(entry)


class NotFound:
    """Answers every path that is not the webhook's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, without looking at it."""
        del scope, receive
        await send(NOT_FOUND.start)
        await send(NOT_FOUND.body)
        entry = Entry(time.perf_counter())
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


def _refusal(error: BaseException) -> Answer:
    """Return the answer to what ended a request; after the unforeseen the sender tries again."""
    if isinstance(error, HookError):
        return answer_of(error)
    _log.error("request.failed", exc_info=error)
    return INTERNAL_ERROR


def _settle(answered: asyncio.Future[Answer], answer: Answer) -> None:
    """Hand over an answer, unless the server gave up waiting for it."""
    if not answered.done():
        answered.set_result(answer)


async def _send(answer: Answer, receive: Receive, send: Send) -> None:
    if answer is BODY_TOO_LARGE:
        await send(answer.start)
        await send({**answer.body, "more_body": True})
        await linger(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    elif answer is not DISCONNECTED:
        await send(answer.start)
        await send(answer.body)
