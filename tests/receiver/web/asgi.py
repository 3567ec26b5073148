"""The edge without a network: requests as ASGI messages, commits as the test wants them."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
from prometheus_client import CollectorRegistry

from receiver.batch import Outcome, Submission
from receiver.errors import UnavailableError
from receiver.intake import Settle
from receiver.keyfiles import KeySource
from receiver.keyring import Keyring
from receiver.logs import Lines
from receiver.metrics import Metrics
from receiver.settings import ReceiverSettings, load
from receiver.web.app import create_app, create_webhook
from receiver.web.journal import Journal
from receiver.web.protocol import Arrivals, WholeProtocol
from receiver.web.webhook import DEFAULT_PATH
from tests.build import SECRET

PATH = DEFAULT_PATH

App = Callable[[Any, Any, Any], Awaitable[None]]


class Reply(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The `status` or `code` of the body."""
        content = orjson.loads(self.body)
        found: str = content.get("status") or content["code"]
        return found


class Commits:
    """Answers submissions with `outcomes` in turn, the last one for ever, and keeps them."""

    def __init__(self, *outcomes: Outcome | UnavailableError | Exception) -> None:
        self._outcomes = itertools.chain(outcomes, itertools.repeat(outcomes[-1]))
        self.seen: list[Submission] = []

    def submit(self, submission: Submission, settle: Settle) -> None:
        """Keep a submission and tell its outcome a turn later."""
        self.seen.append(submission)
        outcome = next(self._outcomes)
        if not isinstance(outcome, Outcome | UnavailableError):
            raise outcome
        asyncio.get_running_loop().call_soon(settle, outcome)


class Bench:
    """An application over `Commits`, with its metrics and log lines at hand."""

    def __init__(
        self,
        *outcomes: Outcome | UnavailableError | Exception,
        clock: Callable[[], float] | None = None,
        **variables: str,
    ) -> None:
        self.settings: ReceiverSettings = load(
            ReceiverSettings, {"SYNAP_WEBHOOK_SECRET": SECRET} | variables
        )
        self.registry = CollectorRegistry()
        self.out = io.BytesIO()
        self.commits = Commits(*(outcomes or (Outcome.ACCEPTED,)))
        metrics = Metrics(self.registry)
        keyring = Keyring(KeySource(SECRET, None), metrics)
        options: dict[str, Any] = {} if clock is None else {"clock": clock}
        journal = Journal(metrics, Lines(self.out), **options)
        self.webhook = create_webhook(
            self.settings, keyring, self.commits, metrics, journal, **options
        )
        self.app = create_app(self.webhook, journal)

    @property
    def protocol(self) -> Callable[..., WholeProtocol]:
        """What makes the protocol that the receiver serves its application with."""
        return partial(WholeProtocol, self.webhook, Arrivals(), self.settings.max_body_bytes)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The canonical lines written so far."""
        return [orjson.loads(line) for line in self.out.getvalue().splitlines()]

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a series, without the common prefix of its name."""
        return self.registry.get_sample_value(f"synap_hooks_{name}", labels)

    async def post(self, body: bytes, headers: Mapping[str, str], path: str = PATH) -> Reply:
        """Deliver a body and return the answer, once it is logged."""
        pairs = [(name.encode(), text.encode()) for name, text in headers.items()]
        return await ask(self.app, [(body, False)], pairs, path=path)


async def ask(
    app: App,
    parts: Sequence[tuple[bytes, bool] | None],
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    method: str = "POST",
    path: str = PATH,
) -> Reply:
    """Send one request and return the answer.

    Args:
        app: the application.
        parts: the body's parts and whether more follow; None: the client leaves.
        headers: raw headers.
        method: the method.
        path: the path.
    """
    sent: list[dict[str, Any]] = []
    incoming = iter(parts)

    async def receive() -> dict[str, Any]:
        part = next(incoming, None)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part[0], "more_body": part[1]}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "headers": list(headers),
        "query_string": b"",
    }
    await app(scope, receive, send)
    await asyncio.sleep(0)
    if not sent:
        return Reply(0, {}, b"")
    lines = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return Reply(sent[0]["status"], lines, b"".join(message["body"] for message in sent[1:]))
