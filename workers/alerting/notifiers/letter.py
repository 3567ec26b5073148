"""A notification as an e-mail: text and HTML, one thread for each group. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from html import escape
from typing import Final, NamedTuple

from workers.alerting.notification import Notification, cut
from workers.alerting.wording import (
    OVER,
    about,
    counted,
    headline,
    links,
    listed,
    severity,
    shown,
    text,
    timing,
)
from workers.outbound import callable_url

SUBJECT_CHARS: Final = 200
THREAD: Final = "thread"
"""The memory's field for the id that a group's messages refer to."""

_RED, _AMBER, _GREEN = "#b00020", "#b26a00", "#1b7f3b"
_COLOURS: Final = {"critical": _RED, "high": _RED, "error": _RED}


class Letter(NamedTuple):
    """A message ready to be handed over, its id, and what to remember of it."""

    text: bytes
    id: str
    memory: Mapping[str, str]


def compose(
    notification: Notification, sender: str, to: tuple[str, ...], memory: Mapping[str, str]
) -> Letter:
    """Return the letter; every attempt at the same state is the same letter."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    thread = memory.get(THREAD) or _thread(notification, domain)
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = cut(" ".join(headline(notification).split()), SUBJECT_CHARS)
    letter["From"] = sender
    letter["To"] = ", ".join(to)
    letter["Date"] = format_datetime(datetime.fromtimestamp(notification.at, UTC))
    letter["Message-Id"] = f"<{_state(notification)}@{domain}>"
    letter["In-Reply-To"] = thread
    letter["References"] = thread
    letter["Auto-Submitted"] = "auto-generated"
    letter["X-Synap-Hooks-Status"] = notification.status
    letter.set_content(
        f"{headline(notification)}\n\n{text(notification)}\n", cte="quoted-printable"
    )
    letter.add_alternative("".join(_html(notification)), subtype="html", cte="quoted-printable")
    letter.set_boundary(f"synap-hooks-{_state(notification)}")
    return Letter(letter.as_bytes(), letter["Message-Id"], {THREAD: thread})


def _thread(notification: Notification, domain: str) -> str:
    day = datetime.fromtimestamp(notification.at, UTC).strftime("%Y-%m-%d")
    return f"<alert-{notification.dedup_key[:16]}-{day}@{domain}>"


def _state(notification: Notification) -> str:
    said = f"{notification.dedup_key} {notification.receiver} {notification.state_id}"
    return f"{hashlib.sha256(said.encode()).hexdigest()[:32]}-{notification.flush}"


def _html(notification: Notification) -> Iterator[str]:
    """Yield the same words as the text has, with the least of markup that mail programs share."""
    worst = severity(shown(notification))
    colour = _COLOURS.get(worst, _AMBER) if notification.firing else _GREEN
    yield '<html><body style="font-family:sans-serif;font-size:14px;line-height:1.4">'
    yield f'<h2 style="color:{colour};font-size:18px">{escape(headline(notification))}</h2><p>'
    facts = (("When", timing(notification)), ("Severity", worst), ("Alerts", counted(notification)))
    yield "<br>".join(f"<b>{name}:</b> {escape(said)}" for name, said in facts if said)
    yield "</p>"
    yield from _paragraphs(notification)
    lines = listed(notification)
    if lines:
        yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
    places = [
        f'<a href="{escape(link.href)}">{escape(link.text)}</a>' for link in links(notification)
    ]
    runbook = about(notification).runbook
    if runbook and not callable_url(runbook):
        places.insert(0, f"Runbook: {escape(runbook)}")
    if places:
        yield f"<p>{' · '.join(places)}</p>"
    yield "</body></html>\n"


def _paragraphs(notification: Notification) -> Iterator[str]:
    if not notification.firing:
        yield f"<p>{OVER}</p>"
        return
    first = about(notification)
    if first.what:
        yield f"<p>{escape(first.what)}</p>"
    if first.why:
        yield f"<p><b>Why it matters:</b> {escape(first.why)}</p>"
    if first.todo:
        yield f"<p><b>What to do:</b> {escape(first.todo)}</p>"
    if first.command:
        yield f"<p><b>Next:</b> <code>{escape(first.command)}</code></p>"
