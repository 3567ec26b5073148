"""Target `datadog`: events, API version 2, of the site where the organisation lives.

Events of one group share an aggregation key. What only changes something (a configuration, a
rotated credential) is a change event, told once; all else is an alert event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final

import orjson

from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.steps import Memory, Step, exchange, in_order, telling, untold
from workers.alerting.wording import headline, iso, links, severity, shown, text
from workers.outbound import Answer, Sent, Verdict, callable_url, classify
from workers.section import Secret, Section

SITE: Final = "datadoghq.com"
TITLE_CHARS: Final = 500
MESSAGE_CHARS: Final = 4000
KEY_CHARS: Final = 100
TAG_CHARS: Final = 200
MAX_TAGS: Final = 100
MAX_LINKS: Final = 20
MAX_CUSTOM: Final = 100
HOST_CHARS: Final = 255
NAME_CHARS: Final = 128
OLDEST: Final = 17 * 3600.0
"""Seconds; Datadog refuses what is older than 18 hours."""

CHANGES: Final = ("config.", "rotation.")
"""How the `event_type` of what only changes something begins."""

STATUSES: Final[Mapping[str, str]] = {
    "critical": "error",
    "high": "error",
    "error": "error",
    "medium": "warn",
    "warning": "warn",
    "low": "warn",
    "info": "ok",
}
"""Our severities in Datadog's words; what is not listed is an error."""

PRIORITIES: Final[Mapping[str, str]] = {
    "critical": "1",
    "high": "2",
    "error": "2",
    "medium": "3",
    "warning": "3",
    "low": "4",
    "info": "5",
}
_CATEGORIES: Final = {"Runbook": "runbook", "Dashboard": "dashboard"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Datadog:
    """Posts events with one API key."""

    api_key: Secret
    url: str
    tags: tuple[str, ...] = ()
    statuses: Mapping[str, str] = field(default_factory=lambda: STATUSES)
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True
    """As far as the aggregation key folds repeats into one."""

    @property
    def account(self) -> str:
        """What shares a rate: the site."""
        return self.url

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Post the group's event, or one for each change that was not told yet."""
        if not _only_changes(notification):
            return self._post(self.alert(notification, call.now), call)
        news = untold(notification, call.memory)
        steps = [Step(name, partial(self._tell, part, call, name)) for name, part in news]
        return in_order(steps, call)

    def alert(self, notification: Notification, now: float) -> dict[str, Any]:
        """Return the body of an alert event."""
        worst = severity(shown(notification))
        said = self.statuses.get(worst, "error") if notification.firing else "ok"
        custom = {
            **notification.common_labels,
            "group": notification.group_key,
            "firing": str(len(notification.firing) + notification.truncated),
        }
        about = {
            "status": said,
            "priority": PRIORITIES.get(worst, "2"),
            "links": _links(notification),
            "custom": dict(list(custom.items())[:MAX_CUSTOM]),
        }
        return self._event("alert", notification, now, {k: v for k, v in about.items() if v})

    def change(self, notification: Notification, now: float) -> dict[str, Any]:
        """Return the body of a change event; the notification is about one alert."""
        (alert,) = notification.alerts
        notes = alert.annotations
        named = alert.labels.get("config_id") or alert.labels.get("credential_id") or alert.name
        about: dict[str, Any] = {
            "changed_resource": {"name": cut(named, NAME_CHARS), "type": "configuration"},
            "impacted_resources": [
                {
                    "name": cut(alert.labels.get("instance_id", "synap"), NAME_CHARS),
                    "type": "service",
                }
            ],
            "change_metadata": {**alert.labels, **_short_notes(notes)},
        }
        if notes.get("applied_by"):
            about["author"] = {"name": cut(notes["applied_by"], NAME_CHARS), "type": "user"}
        before = alert.labels.get("previous_config_id")
        if before:
            about |= {"prev_value": {"config_id": before}, "new_value": {"config_id": named}}
        return self._event("change", notification, now, about)

    def _event(
        self, category: str, notification: Notification, now: float, about: dict[str, Any]
    ) -> dict[str, Any]:
        labels = notification.common_labels
        attributes = {
            "category": category,
            "title": cut(
                headline(notification) if category == "alert" else notification.title, TITLE_CHARS
            ),
            "message": cut(text(notification), MESSAGE_CHARS),
            "aggregation_key": cut(notification.dedup_key, KEY_CHARS),
            "tags": self._tags(labels),
            "host": cut(labels.get("host", ""), HOST_CHARS),
            "timestamp": iso(notification.at if now - notification.at < OLDEST else now),
            "attributes": about,
        }
        return {"data": {"type": "event", "attributes": {k: v for k, v in attributes.items() if v}}}

    def _tags(self, labels: Mapping[str, str]) -> list[str]:
        found = [*self.tags, *(f"{name}:{labels[name]}" for name in sorted(labels))]
        return [cut(tag, TAG_CHARS) for tag in found][:MAX_TAGS]

    def _tell(self, part: Notification, call: Call, name: str, memory: Memory) -> Verdict:
        """Post one change event and remember that it was told."""
        verdict = self._post(self.change(part, call.now), call)
        if not isinstance(verdict, Sent):
            return verdict
        return Sent(verdict.note, telling(name, memory))

    def _post(self, body: dict[str, Any], call: Call) -> Verdict:
        return exchange(
            call,
            lambda: call.outbound.post(
                self.url, orjson.dumps(body), {"dd-api-key": self.api_key.reveal()}
            ),
            lambda answer: _read(answer, call.now),
        )


def _only_changes(notification: Notification) -> bool:
    kinds = (alert.labels.get("event_type", "") for alert in notification.alerts)
    return all(kind.startswith(CHANGES) for kind in kinds)


def _links(notification: Notification) -> list[dict[str, str]]:
    return [
        {"category": _CATEGORIES.get(link.text, "resource"), "title": link.text, "url": link.href}
        for link in links(notification)[:MAX_LINKS]
    ]


def _short_notes(notes: Mapping[str, str]) -> dict[str, str]:
    return {name: cut(said, TAG_CHARS) for name, said in notes.items() if name != "description"}


def _read(answer: Answer, now: float) -> Verdict:
    """Read the answer; the id is the event's own where Datadog tells it."""
    verdict = classify(answer, now)
    if not isinstance(verdict, Sent):
        return verdict
    try:
        found = orjson.loads(answer.body)["data"]["attributes"]["attributes"]["evt"]["uid"]
    except (ValueError, KeyError, TypeError, IndexError):
        return verdict
    return Sent(str(found))


def read(section: Section, _: Ambient) -> Datadog:
    """Read one entry of `datadog_configs`."""
    key = section.secret("api_key")
    if key is None:
        section.problem("one of api_key or api_key_file must be configured")
    site = section.text("site", SITE)
    url = section.text("url") or f"https://event-management-intake.{site}/api/v2/events"
    if not callable_url(url):
        section.problem("url must be an http or https URL", "url")
    statuses = {**STATUSES, **section.table("statuses")}
    for name in sorted(set(statuses.values()) - {"ok", "warn", "error"}):
        section.problem(f'"{name}" is no status of Datadog: error, warn, ok', "statuses")
    return Datadog(
        api_key=key or Secret(),
        url=url,
        tags=tuple(tag.value for tag in section.texts("tags") or ()),
        statuses=statuses,
        send_resolved=section.flag("send_resolved", default=True),
    )
