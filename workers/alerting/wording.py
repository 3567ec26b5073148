"""What people read: one order of things for every target, made once from a notification. Pure.

What happened, since when, why it matters, what to do next, where to look. Targets differ only in
how they set these parts. Nothing here escapes: each target knows what is special in its own texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from workers.alert import Alert
from workers.alerting.notification import Notification, cut
from workers.outbound import callable_url

LISTED_ALERTS: Final = 10
"""Alerts that are named one by one in a text; the others are counted."""

LINKED_ALERTS: Final = 50
PARAGRAPH_CHARS: Final = 1500

RANKS: Final = ("critical", "high", "error", "medium", "warning", "low", "info")
"""Severities, worst first; what is not listed counts as an error."""

OVER: Final = "Nothing of this group fires any more. There is nothing to do."

_UNRANKED: Final = RANKS.index("error")
_WHY: Final = "Why it matters:"
_TODO: Final = "What to do:"
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_LINKS: Final = (
    ("runbook_url", "Runbook"),
    ("runbook", "Runbook"),
    ("dashboard_url", "Dashboard"),
)
_IMAGES: Final = ("image_url", "image")


class Link(NamedTuple):
    """Somewhere to look; `text` names it."""

    text: str
    href: str


class About(NamedTuple):
    """What there is to say first; empty where there is nothing."""

    what: str
    why: str
    todo: str
    command: str
    runbook: str


def headline(notification: Notification) -> str:
    """Return the status in one word and the title."""
    return f"{notification.status.upper()}: {notification.title}"


def severity(alerts: tuple[Alert, ...]) -> str:
    """Return the worst severity label among the alerts, empty if none has one."""
    found = [alert.labels.get("severity", "") for alert in alerts]
    return min((label for label in found if label), key=rank, default="")


def rank(label: str) -> int:
    """Return how bad a severity label is: the lower, the worse."""
    return RANKS.index(label) if label in RANKS else _UNRANKED


def shown(notification: Notification) -> tuple[Alert, ...]:
    """Return the alerts that the message is about: those that fire, or else those over."""
    return notification.firing or notification.alerts


def timing(notification: Notification) -> str:
    """Return since when it fires, or from when to when it did."""
    alerts = shown(notification)
    began = min(alert.starts_at for alert in alerts)
    if notification.firing:
        return f"since {utc(began)} ({span(notification.at - began)})"
    ended = max(alert.ends_at or notification.at for alert in alerts)
    return f"from {utc(began)} to {utc(ended)} ({span(ended - began)})"


def counted(notification: Notification) -> str:
    """Return how many alerts fire and how many are over."""
    firing = len(notification.firing)
    over = len(notification.resolved)
    parts = [f"{firing} firing"] if firing else []
    parts += [f"{over} resolved"] if over else []
    parts += [f"{notification.truncated} more"] if notification.truncated else []
    return ", ".join(parts)


def about(notification: Notification) -> About:
    """Return the parts of the first alert's description, or of the one that is configured."""
    notes = shown(notification)[0].annotations
    description = notification.texts.get("description") or notes.get("description", "")
    before, _, todo = description.partition(_TODO)
    what, _, why = before.partition(_WHY)
    return About(
        what=cut(what.strip(), PARAGRAPH_CHARS),
        why=cut(why.strip(), PARAGRAPH_CHARS),
        todo=cut(todo.strip(), PARAGRAPH_CHARS),
        command=notes.get("inspect", ""),
        runbook=notes.get("runbook_url") or notes.get("runbook", ""),
    )


def links(notification: Notification) -> list[Link]:
    """Return runbooks, dashboards and sources of what it is about, each URL once."""
    found: dict[str, str] = {}
    for alert in shown(notification)[:LINKED_ALERTS]:
        named = [(text, alert.annotations.get(name, "")) for name, text in _LINKS]
        for text, href in (*named, ("Source", alert.generator_url)):
            if callable_url(href):
                found.setdefault(href, text)
    return [Link(text, href) for href, text in found.items()]


def images(notification: Notification) -> list[Link]:
    """Return the images that alerts name, each once; only https can be shown elsewhere."""
    found: dict[str, str] = {}
    for alert in shown(notification)[:LINKED_ALERTS]:
        for name in _IMAGES:
            source = alert.annotations.get(name, "")
            if source.startswith("https://") and callable_url(source):
                found.setdefault(source, alert.name)
    return [Link(text, href) for href, text in found.items()]


def particular(alert: Alert, common: Mapping[str, str]) -> str:
    """Return what tells an alert from the others of its group."""
    own = {name: text for name, text in alert.labels.items() if name not in common}
    said = ", ".join(f"{name}={own[name]}" for name in sorted(own))
    return said or alert.annotations.get("summary", "") or alert.name


def listed(notification: Notification) -> list[str]:
    """Return a line for each alert if there are several, the rest in one line."""
    alerts = shown(notification)
    if len(alerts) + notification.truncated == 1:
        return []
    common = notification.common_labels
    lines = [
        f"{particular(alert, common)}, {_lasting(alert, notification.at)}"
        for alert in alerts[:LISTED_ALERTS]
    ]
    rest = len(alerts) - len(lines) + notification.truncated
    return [*lines, f"and {rest} more"] if rest else lines


def text(notification: Notification) -> str:
    """Return the whole message as plain text, its headline not included."""
    first = about(notification)
    facts = [
        ("When", timing(notification)),
        ("Severity", severity(shown(notification))),
        ("Alerts", counted(notification)),
    ]
    head = "\n".join(f"{name}: {said}" for name, said in facts if said)
    parts = [head]
    if notification.firing:
        parts += [
            first.what,
            _led(_WHY, first.why),
            _led(_TODO, first.todo),
            _led("Next:", first.command),
        ]
    else:
        parts.append(OVER)
    parts.append("\n".join(f"- {line}" for line in listed(notification)))
    parts.append(_places(notification, first.runbook))
    return "\n\n".join(part for part in parts if part)


def utc(moment: float) -> str:
    """Return Unix seconds as people read them: `2027-01-15 08:00 UTC`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(moment: float) -> str:
    """Return Unix seconds as machines read them: ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def span(seconds: float) -> str:
    """Return a length of time in its largest two units: `3 d 4 h`, `12 min`."""
    whole = max(0, int(seconds))
    days, hours = whole // _DAY, whole % _DAY // _HOUR
    minutes = whole % _HOUR // _MINUTE
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{whole} s"


def _lasting(alert: Alert, at: float) -> str:
    if alert.ends_at is not None and alert.resolved(at):
        return f"lasted {span(alert.ends_at - alert.starts_at)}"
    return f"since {utc(alert.starts_at)}"


def _places(notification: Notification, runbook: str) -> str:
    found = [f"{link.text}: {link.href}" for link in links(notification)]
    if runbook and not callable_url(runbook):
        found.insert(0, f"Runbook: {runbook}")
    if notification.external_url:
        found.append(f"Sent by: {notification.external_url}")
    return "\n".join(found)


def _led(lead: str, said: str) -> str:
    return f"{lead} {said}" if said else ""
