"""Target `slack`: one message to an incoming webhook for each notification.

Slack answers 200 with the text `ok`; anything else in a 200 is unreadable and tried again.
A webhook knows no identity, so a repeated attempt may show twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.outbound import OutboundError, Reason, Retry, Verdict, callable_url, classify
from workers.section import Secret, SecretUnreadableError, Section

HEADER_CHARS: Final = 150
SECTION_CHARS: Final = 3000
SHOWN_ALERTS: Final = 3

_OK: Final = b"ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Posts to an incoming webhook."""

    api_url: Secret
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Post the message once."""
        body = orjson.dumps(message(notification))
        try:
            answer = call.outbound.post(self.api_url.reveal(), body)
        except SecretUnreadableError as error:
            return Retry(Reason.OTHER, str(error))
        except OutboundError as error:
            return classify(error, call.now)
        if answer.ok and answer.body.strip() != _OK:
            return Retry(Reason.OTHER, "unreadable answer", ambiguous=True)
        return classify(answer, call.now)


def message(notification: Notification) -> dict[str, Any]:
    """Return the message: a headline and the first alerts, within Slack's limits."""
    headline = f"[{notification.status.upper()}] {notification.title}"
    shown = (notification.firing or notification.alerts)[:SHOWN_ALERTS]
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": cut(headline, HEADER_CHARS), "emoji": False},
        }
    ]
    blocks += [
        {"type": "section", "text": {"type": "mrkdwn", "text": cut(_about(alert), SECTION_CHARS)}}
        for alert in shown
    ]
    return {"text": escape(cut(headline, SECTION_CHARS)), "blocks": blocks}


def escape(text: str) -> str:
    """Return a text in which nothing is a mention, a link or a tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _about(alert: Alert) -> str:
    labels = " ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
    lines = [
        alert.annotations.get("summary", alert.name),
        alert.annotations.get("description", ""),
        alert.annotations.get("runbook", ""),
        labels,
    ]
    return escape("\n".join(line for line in lines if line))


def read(section: Section, ambient: Ambient) -> Slack:
    """Read one entry of `slack_configs`."""
    own = section.secret("api_url") or ambient.slack_api_url
    if own is None and ambient.slack_url is not None:
        own = Secret(ambient.slack_url)
    if own is None:
        section.problem("no Slack API URL set either inline or in a file")
    elif own.value is not None and not callable_url(own.reveal()):
        section.problem("api_url must be an http or https URL", "api_url")
    return Slack(
        api_url=own or Secret(), send_resolved=section.flag("send_resolved", default=False)
    )
