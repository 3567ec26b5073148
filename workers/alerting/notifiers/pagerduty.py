"""Target `pagerduty`: Events API v2, one incident for each group.

A group's messages share one dedup key, so a repeated trigger is the same incident and a resolve
closes it. The key of the routing that accepted the trigger is remembered (as a digest), and the
resolve goes through the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.outbound import (
    Answer,
    OutboundError,
    Permanent,
    Reason,
    Retry,
    Sent,
    Verdict,
    callable_url,
    classify,
)
from workers.section import Secret, SecretUnreadableError, Section

URL: Final = "https://events.pagerduty.com/v2/enqueue"
MAX_BYTES: Final = 500_000
SUMMARY_CHARS: Final = 1024
LISTED_ALERTS: Final = 50
LEAST_DETAIL: Final = 64
REMEMBERED: Final = "routing"

SEVERITIES: Final[Mapping[str, str]] = {
    "critical": "critical",
    "high": "error",
    "error": "error",
    "medium": "warning",
    "warning": "warning",
    "low": "info",
    "info": "info",
}
"""Our severities in PagerDuty's words, worst first; what is not listed is an error."""

_WORST: Final = ("critical", "error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagerduty:
    """Triggers and resolves through one routing key; `severities` maps label to severity."""

    routing_key: Secret
    previous_routing_key: Secret | None = None
    url: str = field(default=URL, repr=False)
    client: str = "synap-hooks"
    severities: Mapping[str, str] = field(default_factory=lambda: SEVERITIES)
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Trigger or resolve the group's incident once."""
        try:
            key = self._key(call.memory)
            body = encode(self.event(notification, key))
            answer = call.outbound.post(self.url, body)
        except SecretUnreadableError as error:
            return Retry(Reason.OTHER, str(error))
        except OutboundError as error:
            return classify(error, call.now)
        return self._read(answer, call.now, key)

    def event(self, notification: Notification, key: str) -> dict[str, Any]:
        """Return the body of the call."""
        if notification.status == "resolved":
            return {
                "routing_key": key,
                "event_action": "resolve",
                "dedup_key": notification.dedup_key,
            }
        event: dict[str, Any] = {
            "routing_key": key,
            "event_action": "trigger",
            "dedup_key": notification.dedup_key,
            "client": self.client,
            "links": links(notification),
            "payload": self._payload(notification),
        }
        if notification.external_url:
            event["client_url"] = notification.external_url
        return event

    def _payload(self, notification: Notification) -> dict[str, Any]:
        labels = notification.common_labels
        started = min(alert.starts_at for alert in notification.firing)
        payload = {
            "summary": cut(notification.title, SUMMARY_CHARS),
            "source": labels.get("instance_id") or labels.get("instance") or self.client,
            "severity": self._severity(notification),
            "timestamp": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
            "component": labels.get("stage") or labels.get("component"),
            "group": labels.get("alertname"),
            "class": labels.get("event_type"),
            "custom_details": details(notification),
        }
        return {name: value for name, value in payload.items() if value}

    def _severity(self, notification: Notification) -> str:
        """Return the worst severity among what fires."""
        found = {
            self.severities.get(alert.labels.get("severity", ""), "error")
            for alert in notification.firing
        }
        return next(severity for severity in _WORST if severity in found)

    def _key(self, memory: Mapping[str, str]) -> str:
        """Return the routing key that accepted the trigger, if it is still known; else today's."""
        key = self.routing_key.reveal()
        before = memory.get(REMEMBERED)
        if before and before != digest(key) and self.previous_routing_key:
            previous = self.previous_routing_key.reveal()
            if before == digest(previous):
                return previous
        return key

    def _read(self, answer: Answer, now: float, key: str) -> Verdict:
        verdict = classify(answer, now)
        if isinstance(verdict, Sent):
            return Sent(note=_field(answer, "dedup_key"), memory={REMEMBERED: digest(key)})
        if isinstance(verdict, Permanent) and answer.body:
            said = cut(_field(answer, "message"), 200).replace(key, "<redacted>")
            return Permanent(verdict.reason, f"{verdict.detail} {said}".strip())
        return verdict


def digest(key: str) -> str:
    """Return what may be stored of a routing key: enough to know it again, not to use it."""
    return hashlib.sha256(b"routing-key:" + key.encode()).hexdigest()[:16]


def links(notification: Notification) -> list[dict[str, str]]:
    """Return the runbook and sources of the first alerts, each once."""
    found: dict[str, str] = {}
    for alert in notification.firing[:LISTED_ALERTS]:
        for href, text in (
            (alert.annotations.get("runbook_url", ""), "Runbook"),
            (alert.annotations.get("runbook", ""), "Runbook"),
            (alert.generator_url, "Source"),
        ):
            if callable_url(href):
                found.setdefault(href, text)
    return [{"href": href, "text": text} for href, text in found.items()]


def details(notification: Notification) -> dict[str, Any]:
    """Return what a responder reads under the incident."""
    return {
        "group": notification.group_key,
        "num_firing": len(notification.firing) + notification.truncated,
        "num_resolved": len(notification.resolved),
        **notification.common_labels,
        **notification.common_annotations,
        "firing": "\n\n".join(_about(alert) for alert in notification.firing[:LISTED_ALERTS]),
    }


def encode(event: dict[str, Any]) -> bytes:
    """Return the body in at most `MAX_BYTES`, halving the biggest details first."""
    body = orjson.dumps(event)
    held = event.get("payload", {}).get("custom_details", {})
    while len(body) > MAX_BYTES:
        name = max(held, key=lambda name: len(str(held[name])), default=None)
        if name is None or len(str(held[name])) <= LEAST_DETAIL:
            event["payload"]["custom_details"] = {"error": "the details were too large"}
            return orjson.dumps(event)
        held[name] = cut(str(held[name]), len(str(held[name])) // 2)
        body = orjson.dumps(event)
    return body


def _about(alert: Alert) -> str:
    said = {**alert.labels, **alert.annotations}
    return "\n".join(f"{name}: {value}" for name, value in said.items())


def _field(answer: Answer, name: str) -> str:
    try:
        found = orjson.loads(answer.body)[name]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return found if isinstance(found, str) else ""


def read(section: Section, ambient: Ambient) -> Pagerduty:
    """Read one entry of `pagerduty_configs`."""
    key = section.secret("routing_key")
    if key is None and ambient.routing_key is not None:
        key = Secret(ambient.routing_key)
    if key is None:
        section.problem(
            "one of routing_key, routing_key_file or PAGERDUTY_ROUTING_KEY must be configured"
        )
    url = section.text("url") or ambient.pagerduty_url or URL
    if not callable_url(url):
        section.problem("url must be an http or https URL", "url")
    severities = {**SEVERITIES, **section.table("severities")}
    for name in sorted(set(severities.values()) - set(_WORST)):
        section.problem(f'"{name}" is no severity of PagerDuty: {", ".join(_WORST)}', "severities")
    return Pagerduty(
        routing_key=key or Secret(),
        previous_routing_key=section.secret("previous_routing_key"),
        url=url,
        client=section.text("client", "synap-hooks"),
        severities=severities,
        send_resolved=section.flag("send_resolved", default=True),
    )
