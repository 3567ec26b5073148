"""Target `msteams`: an adaptive card to a Workflows URL.

Teams takes about 28 KB and some flows encode the card once more, so it is kept within 21 KB: first
the list of alerts goes, then the texts get shorter. A 202 only says that the flow was started.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.steps import exchange, short
from workers.alerting.wording import (
    OVER,
    about,
    counted,
    headline,
    links,
    listed,
    severity,
    shown,
    timing,
)
from workers.outbound import Answer, Permanent, Reason, Verdict, callable_url, classify
from workers.section import Secret, Section

MAX_BYTES: Final = 21_000
TITLE_CHARS: Final = 300
MAX_ACTIONS: Final = 6
FACT_LABELS: Final = ("instance_id", "stage", "error_code", "credential_id")

_COLOURS: Final = {"critical": "Attention", "high": "Attention", "error": "Attention"}


class Size(NamedTuple):
    """How much of the message a card holds: characters of a paragraph, and alerts by name."""

    paragraph: int
    alerts: int


SIZES: Final = (Size(1500, 10), Size(1000, 0), Size(300, 0), Size(80, 0))
"""From the whole message to one that fits whatever it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Msteams:
    """Posts cards to one flow."""

    webhook_url: Secret
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False

    @property
    def account(self) -> str:
        """What shares a rate: the flow, as a digest or by its file."""
        return str(self.webhook_url.file or short(self.webhook_url.reveal()))

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Post the card; one that is too large for the flow once more, as small as it gets."""
        verdict = self._post(encode(notification), call)
        if isinstance(verdict, Permanent) and verdict.reason is Reason.TOO_LARGE:
            return self._post(orjson.dumps(message(notification, SIZES[-1])), call)
        return verdict

    def _post(self, body: bytes, call: Call) -> Verdict:
        def read(answer: Answer) -> Verdict:
            return classify(answer, call.now)

        return exchange(call, lambda: call.outbound.post(self.webhook_url.reveal(), body), read)


def encode(notification: Notification) -> bytes:
    """Return the largest body that is within what Teams takes."""
    bodies = (orjson.dumps(message(notification, size)) for size in SIZES)
    return next(body for body in bodies if len(body) <= MAX_BYTES)


def message(notification: Notification, size: Size) -> dict[str, Any]:
    """Return the message that carries the card."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": list(_body(notification, size)),
        "actions": [
            {"type": "Action.OpenUrl", "title": link.text, "url": link.href}
            for link in links(notification)[:MAX_ACTIONS]
            if len(link.href) <= size.paragraph
        ],
        "msteams": {"width": "full"},
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": {name: part for name, part in card.items() if part},
    }
    return {"type": "message", "attachments": [attachment]}


def colour(notification: Notification) -> str:
    """Return the colour of the headline: red, amber, or green when it is over."""
    if not notification.firing:
        return "Good"
    return _COLOURS.get(severity(shown(notification)), "Warning")


def _body(notification: Notification, size: Size) -> Iterator[dict[str, Any]]:
    """Yield the parts of the card from the top."""
    title = _block(headline(notification), TITLE_CHARS)
    yield {**title, "size": "Large", "weight": "Bolder", "color": colour(notification)}
    facts = [
        ("When", timing(notification)),
        ("Severity", severity(shown(notification))),
        ("Alerts", counted(notification)),
    ]
    common = notification.common_labels
    facts += [(name, common.get(name, "")) for name in FACT_LABELS]
    yield {
        "type": "FactSet",
        "facts": [{"title": name, "value": _plain(cut(said, 200))} for name, said in facts if said],
    }
    yield from _paragraphs(notification, size)
    for line in listed(notification)[: size.alerts + 1 if size.alerts else 0]:
        yield {**_block(f"- {line}", 300), "spacing": "None"}


def _paragraphs(notification: Notification, size: Size) -> Iterator[dict[str, Any]]:
    if not notification.firing:
        yield _block(OVER, size.paragraph)
        return
    first = about(notification)
    for lead, said in (
        ("", first.what),
        ("**Why it matters:** ", first.why),
        ("**What to do:** ", first.todo),
        ("**Next:** ", first.command),
        ("**Runbook:** ", "" if callable_url(first.runbook) else first.runbook),
    ):
        if said:
            yield {**_block(said, size.paragraph), "text": lead + _plain(cut(said, size.paragraph))}


def _block(said: str, limit: int) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _plain(cut(said, limit)), "wrap": True}


def _plain(said: str) -> str:
    """Return a text in which nothing is a link: Teams reads Markdown in it."""
    return said.replace("](", "] (")


def read(section: Section, _: Ambient) -> Msteams:
    """Read one entry of `msteams_configs`."""
    url = section.secret("webhook_url")
    if url is None:
        section.problem("one of webhook_url or webhook_url_file must be configured")
    elif url.value is not None and not callable_url(url.reveal()):
        section.problem("webhook_url must be an http or https URL", "webhook_url")
    return Msteams(
        webhook_url=url or Secret(), send_resolved=section.flag("send_resolved", default=True)
    )
