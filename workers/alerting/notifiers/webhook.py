"""Target `webhook`: Alertmanager's webhook body, version 4, optionally signed.

A receiver that answers 410 wants no further calls: it is not called again for that group unless
its URL changes. The signature is HMAC-SHA256 over `<timestamp>.<body>` in `X-Synap-Hooks-Signature:
t=<timestamp>,v1=<hex>[,v1=<hex>]`, one `v1` for each key, so that a key can be rotated.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.credentials import Credentials, read_credentials
from workers.alerting.notifiers.steps import exchange, short
from workers.alerting.wording import iso
from workers.outbound import (
    Answer,
    Permanent,
    Reason,
    Retry,
    Verdict,
    callable_url,
    classify,
)
from workers.section import Secret, SecretUnreadableError, Section

SIGNATURE: Final = "x-synap-hooks-signature"
DELIVERY: Final = "x-delivery-id"
GONE: Final = "gone"
"""The memory's field for the URL (a digest of it) that answered 410."""

_GONE: Final = 410

_NO_END: Final = "0001-01-01T00:00:00Z"
"""How Alertmanager writes the end of an alert that fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Posts the group to a URL; `max_alerts` 0 means all, firing ones are kept first."""

    url: Secret
    credentials: Credentials = field(default_factory=Credentials)
    signing_key: Secret | None = None
    previous_signing_key: Secret | None = None
    max_alerts: int = 0
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True

    @property
    def account(self) -> str:
        """What shares a rate: the URL, as a digest or by its file."""
        return str(self.url.file or short(self.url.reveal()))

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Post the group once."""
        try:
            gone = short(self.url.reveal())
        except SecretUnreadableError as error:
            return Retry(Reason.OTHER, str(error))
        if call.memory.get(GONE) == gone:
            return Permanent(Reason.CLIENT_ERROR, "it answered 410 before and is not called")
        body = orjson.dumps(payload(notification, self.max_alerts))
        return exchange(
            call,
            lambda: call.outbound.post(self.url.reveal(), body, self._headers(body, call)),
            lambda answer: _read(answer, call.now, gone),
        )

    def _headers(self, body: bytes, call: Call) -> Mapping[str, str]:
        headers = {DELIVERY: call.delivery, **self.credentials.headers()}
        keys = [key for key in (self.signing_key, self.previous_signing_key) if key]
        if keys:
            headers[SIGNATURE] = signature(body, [key.reveal() for key in keys], int(call.now))
        return headers


def _read(answer: Answer, now: float, gone: str) -> Verdict:
    verdict = classify(answer, now)
    if isinstance(verdict, Permanent) and answer.status == _GONE:
        return verdict._replace(memory={GONE: gone})
    return verdict


def signature(body: bytes, keys: list[str], timestamp: int) -> str:
    """Return the header by which a receiver knows that the body is ours and fresh."""
    signed = b"%d.%b" % (timestamp, body)
    digests = (hmac.digest(key.encode(), signed, "sha256").hex() for key in keys)
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests)])


def payload(notification: Notification, max_alerts: int = 0) -> dict[str, Any]:
    """Return the body as Alertmanager writes it."""
    shown = notification.alerts[:max_alerts] if max_alerts else notification.alerts
    left_out = len(notification.alerts) - len(shown) + notification.truncated
    return {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": left_out,
        "status": "firing" if notification.firing else "resolved",
        "receiver": notification.receiver,
        "groupLabels": notification.group_labels,
        "commonLabels": notification.common_labels,
        "commonAnnotations": notification.common_annotations,
        "routeLabels": notification.route_labels,
        "externalURL": notification.external_url,
        "notification_reason": notification.why.value,
        "alerts": [_alert(alert, notification.at) for alert in shown],
    }


def _alert(alert: Alert, at: float) -> dict[str, Any]:
    over = alert.resolved(at)
    return {
        "status": "resolved" if over else "firing",
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": iso(alert.starts_at),
        "endsAt": iso(alert.ends_at) if over and alert.ends_at is not None else _NO_END,
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def read(section: Section, _: Ambient) -> Webhook:
    """Read one entry of `webhook_configs`."""
    url = section.secret("url")
    if url is None:
        section.problem("one of url or url_file must be configured")
    elif url.value is not None and not callable_url(url.reveal()):
        section.problem("url must be an http or https URL", "url")
    return Webhook(
        url=url or Secret(),
        credentials=read_credentials(section),
        signing_key=section.secret("signing_key"),
        previous_signing_key=section.secret("previous_signing_key"),
        max_alerts=section.integer("max_alerts", 0),
        send_resolved=section.flag("send_resolved", default=True),
    )
