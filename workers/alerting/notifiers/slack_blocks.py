"""How a notification looks in Slack, within its limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from workers.alert import Alert
from workers.alerting.notification import Notification, Why, cut
from workers.alerting.wording import (
    LISTED_ALERTS,
    OVER,
    about,
    counted,
    headline,
    images,
    links,
    listed,
    particular,
    severity,
    shown,
    span,
    timing,
)
from workers.outbound import callable_url

HEADLINE_CHARS: Final = 300
PARAGRAPH_CHARS: Final = 1800
LINE_CHARS: Final = 250
CONTEXT_CHARS: Final = 500
BUTTON_CHARS: Final = 75
URL_CHARS: Final = 3000
ALT_CHARS: Final = 200
MAX_BUTTONS: Final = 5

_RED, _AMBER, _GREY, _GREEN = "#d00000", "#daa038", "#808080", "#2eb886"
_COLOURS: Final = {"critical": _RED, "high": _RED, "error": _RED, "info": _GREY}


def message(notification: Notification) -> dict[str, Any]:
    """Return a group's message: a headline, and beside a coloured bar what there is to know."""
    return {
        "text": f"*{fitting(headline(notification), HEADLINE_CHARS)}*",
        "attachments": [{"color": colour(notification), "blocks": list(_blocks(notification))}],
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def reply(
    notification: Notification, news: Sequence[Alert], over: Sequence[Alert]
) -> dict[str, Any]:
    """Return what the thread is told; empty if there is nothing to say.

    Args:
        notification: what is true now.
        news: the alerts that fire and did not before.
        over: the alerts that fired before and are over.
    """
    lines = []
    if notification.status == "resolved":
        lines = [f"All resolved, {timing(notification)}."]
    elif notification.status == "acknowledged":
        lines = ["Acknowledged."]
    elif notification.why is Why.REPEAT:
        began = min(alert.starts_at for alert in notification.firing)
        lines = [f"Still firing after {span(notification.at - began)}: {counted(notification)}."]
    lines += _named("New", news, notification)
    lines += _named("Resolved", over if notification.firing else (), notification)
    if not lines:
        return {}
    text = "\n".join(fitting(line, LINE_CHARS) for line in lines)
    return {"text": text, "link_names": False, "unfurl_links": False, "unfurl_media": False}


def colour(notification: Notification) -> str:
    """Return the colour of the bar: red, amber or grey while it fires, then green."""
    if not notification.firing:
        return _GREEN
    return _COLOURS.get(severity(shown(notification)), _AMBER)


def escape(text: str) -> str:
    """Return a text in which nothing is a mention, a link or a tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fitting(text: str, limit: int) -> str:
    """Return an escaped text of at most `limit` characters; it is cut before it is escaped."""
    kept = cut(text, limit)
    while len(escape(kept)) > limit:
        kept = cut(text, max(1, len(kept) * limit // len(escape(kept)) - 1))
    return escape(kept)


def _blocks(notification: Notification) -> Iterator[dict[str, Any]]:
    facts = (timing(notification), severity(shown(notification)), counted(notification))
    yield _context(" · ".join(fact for fact in facts if fact))
    for text in _paragraphs(notification):
        yield {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    first = about(notification)
    if first.runbook and not callable_url(first.runbook):
        yield _context(f"Runbook: {first.runbook}")
    for image in images(notification)[:1]:
        if len(image.href) <= URL_CHARS:
            alt = cut(image.text, ALT_CHARS) or "image"
            yield {"type": "image", "image_url": image.href, "alt_text": alt}
    buttons = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": cut(link.text, BUTTON_CHARS), "emoji": False},
            "url": link.href,
        }
        for link in links(notification)
        if len(link.href) <= URL_CHARS
    ]
    if buttons:
        yield {"type": "actions", "elements": buttons[:MAX_BUTTONS]}


def _paragraphs(notification: Notification) -> Iterator[str]:
    """Yield what happened, why it matters, what to do, and the alerts of a group."""
    if notification.firing:
        first = about(notification)
        if first.what:
            yield fitting(first.what, PARAGRAPH_CHARS)
        if first.why:
            yield f"*Why it matters:* {fitting(first.why, PARAGRAPH_CHARS)}"
        if first.todo:
            yield f"*What to do:* {fitting(first.todo, PARAGRAPH_CHARS)}"
        if first.command:
            yield f"*Next:* `{fitting(first.command.replace('`', ''), CONTEXT_CHARS)}`"
    else:
        yield OVER
    lines = listed(notification)
    if lines:
        yield "\n".join(f"• {fitting(line, LINE_CHARS)}" for line in lines)


def _context(text: str) -> dict[str, Any]:
    said = {"type": "mrkdwn", "text": fitting(text, CONTEXT_CHARS)}
    return {"type": "context", "elements": [said]}


def _named(lead: str, alerts: Sequence[Alert], notification: Notification) -> list[str]:
    common = notification.common_labels
    named = [f"{lead}: {particular(alert, common)}" for alert in alerts[:LISTED_ALERTS]]
    rest = len(alerts) - len(named)
    return [*named, f"{lead}: {rest} more"] if rest else named
