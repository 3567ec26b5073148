"""Target `pagerduty`: Events API v2; an incident for each group (or alert), or change events.

What is open under which dedup key, severity and routing key (a digest of it) is remembered: a
resolve goes where its trigger went. Change events page nobody; each alert is told once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.incidents import Act, Ladder, after, opened, plan
from workers.alerting.notifiers.steps import Memory, Step, exchange, in_order, telling, untold
from workers.alerting.wording import images, iso, links, severity, timing
from workers.outbound import (
    Answer,
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
REGIONS: Final = {"us": URL, "eu": "https://events.eu.pagerduty.com/v2/enqueue"}
MAX_BYTES: Final = 500_000
SUMMARY_CHARS: Final = 1024
LISTED_ALERTS: Final = 50
LEAST_DETAIL: Final = 64

SEVERITIES: Final[Mapping[str, str]] = {
    "critical": "critical",
    "high": "error",
    "error": "error",
    "medium": "warning",
    "warning": "warning",
    "low": "info",
    "info": "info",
}
"""Our severities in PagerDuty's words; what is not listed is an error."""

_WORST: Final = ("critical", "error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagerduty:
    """Events through one routing key; `severities` maps label to severity."""

    routing_key: Secret
    previous_routing_key: Secret | None = None
    url: str = field(default=URL, repr=False)
    client: str = "synap-hooks"
    details: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=lambda: SEVERITIES)
    by_alert: bool = False
    changes: bool = False
    send_resolved: bool = True

    durable: ClassVar[bool] = True

    @property
    def idempotent(self) -> bool:
        """Whether a dedup key makes the same message twice the same as once."""
        return not self.changes

    @property
    def stateful(self) -> bool:
        """Whether an incident stays open until it is resolved."""
        return not self.changes

    @property
    def acknowledges(self) -> bool:
        """Whether there is an incident that can be acknowledged."""
        return not self.changes

    @property
    def account(self) -> str:
        """What shares a rate: the routing key, as a digest or by its file."""
        return str(self.routing_key.file or digest(self.routing_key.reveal()))

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Tell PagerDuty all that changed, one call for each event."""
        if self.changes:
            news = untold(notification, call.memory)
            tell = [Step(name, partial(self._tell, part, call, name)) for name, part in news]
            return in_order(tell, call)
        ladder = Ladder(steps=_WORST, said=self._said, by_alert=self.by_alert)
        acts = plan(notification, opened(call.memory), ladder, repeated=call.repeated)
        steps = [Step(f"{act.action}:{act.key}", partial(self._do, act, call)) for act in acts]
        return in_order(steps, call)

    def event(self, act: Act, key: str) -> dict[str, Any]:
        """Return the body of one event; `key` is the routing key."""
        named = {"routing_key": key, "event_action": act.action, "dedup_key": act.key}
        if act.action != "trigger":
            return named
        event = {
            **named,
            "client": self.client,
            "client_url": act.part.external_url,
            "links": [{"href": link.href, "text": link.text} for link in links(act.part)],
            "images": [{"src": image.href, "alt": image.text} for image in images(act.part)],
            "payload": self._payload(act),
        }
        return {name: value for name, value in event.items() if value}

    def change(self, part: Notification, key: str) -> dict[str, Any]:
        """Return the body of one change event."""
        (alert,) = part.alerts
        return {
            "routing_key": key,
            "payload": {
                "summary": cut(part.title, SUMMARY_CHARS),
                "source": self._source(part),
                "timestamp": iso(alert.starts_at),
                "custom_details": {**alert.labels, **alert.annotations, **self.details},
            },
            "links": [{"href": link.href, "text": link.text} for link in links(part)],
        }

    def _said(self, alert: Alert) -> str:
        """Return an alert's severity in PagerDuty's words."""
        return self.severities.get(alert.labels.get("severity", ""), "error")

    def _payload(self, act: Act) -> dict[str, Any]:
        labels = act.part.common_labels
        payload = {
            "summary": cut(act.part.title, SUMMARY_CHARS),
            "source": self._source(act.part),
            "severity": act.incident.severity,
            "timestamp": iso(min(alert.starts_at for alert in act.part.firing)),
            "component": labels.get("stage") or labels.get("component"),
            "group": labels.get("alertname"),
            "class": labels.get("event_type"),
            "custom_details": {**details(act.part), **self.details},
        }
        return {name: value for name, value in payload.items() if value}

    def _source(self, part: Notification) -> str:
        labels = part.common_labels
        return labels.get("instance_id") or labels.get("instance") or self.client

    def _do(self, act: Act, call: Call, memory: Memory) -> Verdict:
        """Send one event and remember what is open after it."""
        verdict, key = self._post(call, self.url, act.incident.account, partial(self.event, act))
        if not isinstance(verdict, Sent):
            return verdict
        return Sent(verdict.note, after(act, memory, digest(key)))

    def _tell(self, part: Notification, call: Call, name: str, memory: Memory) -> Verdict:
        """Send one change event and remember that it was told."""
        url = self.url.replace("/v2/enqueue", "/v2/change/enqueue")
        verdict, _ = self._post(call, url, "", partial(self.change, part))
        if not isinstance(verdict, Sent):
            return verdict
        return Sent(verdict.note, telling(name, memory))

    def _post(
        self, call: Call, url: str, account: str, body: Callable[[str], dict[str, Any]]
    ) -> tuple[Verdict, str]:
        """Send one body through the routing key of an account; return that key as well."""
        try:
            key = self._key(account)
        except SecretUnreadableError as error:
            return Retry(Reason.OTHER, str(error)), ""
        verdict = exchange(
            call,
            lambda: call.outbound.post(url, encode(body(key))),
            lambda answer: _read(answer, call.now, key),
        )
        return verdict, key

    def _key(self, account: str) -> str:
        """Return the routing key that opened an incident, if it is still known; else today's."""
        key = self.routing_key.reveal()
        if account and account != digest(key) and self.previous_routing_key:
            previous = self.previous_routing_key.reveal()
            if account == digest(previous):
                return previous
        return key


def digest(key: str) -> str:
    """Return what may be stored of a routing key: enough to know it again, not to use it."""
    return hashlib.sha256(b"routing-key:" + key.encode()).hexdigest()[:16]


def details(part: Notification) -> dict[str, Any]:
    """Return what a responder reads under the incident."""
    return {
        "when": timing(part),
        **part.common_annotations,
        **part.common_labels,
        "severity": severity(part.firing),
        "num_firing": len(part.firing) + part.truncated,
        "num_resolved": len(part.resolved),
        "group": part.group_key,
        "firing": "\n\n".join(_about(alert) for alert in part.firing[:LISTED_ALERTS]),
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


def _read(answer: Answer, now: float, key: str) -> Verdict:
    verdict = classify(answer, now)
    if isinstance(verdict, Sent):
        return Sent(_field(answer, "dedup_key"))
    if isinstance(verdict, Permanent) and answer.body:
        said = cut(_field(answer, "message").replace(key, "<redacted>"), 200)
        return Permanent(verdict.reason, f"{verdict.detail} {said}".strip())
    return verdict


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
    region = section.choice("region", "us", tuple(REGIONS))
    url = section.text("url") or ambient.pagerduty_url or REGIONS[region]
    if not callable_url(url):
        section.problem("url must be an http or https URL", "url")
    severities = {**SEVERITIES, **section.table("severities")}
    for name in sorted(set(severities.values()) - set(_WORST)):
        section.problem(f'"{name}" is no severity of PagerDuty: {", ".join(_WORST)}', "severities")
    changes = section.flag("change_events", default=False)
    return Pagerduty(
        routing_key=key or Secret(),
        previous_routing_key=section.secret("previous_routing_key"),
        url=url,
        client=section.text("client", "synap-hooks"),
        details=section.table("details"),
        severities=severities,
        by_alert=section.choice("dedup_by", "group", ("group", "alert")) == "alert",
        changes=changes,
        send_resolved=section.flag("send_resolved", default=not changes),
    )
