"""`credential.expiring`: a credential of the instance is about to stop working.

Severity climbs as the time left shrinks, by the policy's table, always counted from now, so
that a late or older report says what is true today. Fires until the credential expires (at least
a day from the report) unless it is reported again: a rotated credential is no longer reported.
Severity is part of the alert's identity, so each report also ends the alert at every other one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from receiver.event import Event
from workers.alert import Alert
from workers.handlers.decision import (
    Context,
    Decision,
    Finding,
    firing,
    identity,
    superseded,
)
from workers.handlers.fields import LABEL_CHARS, UNKNOWN, Fields, clean, span, utc
from workers.handlers.policy import DAY
from workers.rotation.notice import ROTATED_TYPES, Notice
from workers.severity import Severity

ALERTNAME: Final = "SynapCredentialExpiring"
LEAST_SECONDS: Final = DAY
UNDATED_SECONDS: Final = 7 * DAY
MAX_DAYS: Final = 36_500.0


class Kind(NamedTuple):
    """What a type of credential means for on-call."""

    named: str
    why: str
    then: str


KINDS: Final = {
    "api_key": Kind(
        "API key",
        "When it expires every call that uses it is answered 401.",
        "Rotate it: generate the new key in the Dashboard (Instance > API Keys), put it into the "
        "secrets manager, deploy the applications that use it, verify that calls arrive with the "
        "new key, and revoke the old one after the 48 h overlap.",
    ),
    "certificate": Kind(
        "client certificate",
        "The SDK renews certificates by itself, so one that is expiring means that renewal fails; "
        "when it expires the application loses its connection to Synap.",
        "Read the application's SDK log for renewal errors, check its clock and its way to Synap, "
        "and restart it; if renewal still fails, set it up anew with a fresh bootstrap key.",
    ),
    "bootstrap_key": Kind(
        "bootstrap key",
        "It is single-use and lives 24 h: unused it simply lapses; used it no longer matters.",
        "A reminder: finish the set-up that it was made for, or revoke it in the Dashboard.",
    ),
    "webhook_secret": Kind(
        "webhook signing secret",
        "When it expires Synap's deliveries can no longer be verified here and are refused.",
        "Add the new signing secret to this service as its newest one beside the old, then "
        "switch Synap to it, and take the old one away when deliveries arrive with the new one.",
    ),
}
ANY_KIND: Final = Kind(
    "credential",
    "When it expires whatever uses it stops working.",
    "Look it up in the Synap Dashboard, replace it, deploy what uses it, and revoke the old one.",
)


def decide(event: Event, context: Context) -> Decision:
    """Fire one alert for the credential at today's severity and end the other severities."""
    fields = Fields(event.data)
    reported = min(event.timestamp, context.now)
    expires_at = _expires_at(fields, reported)
    kind_name = fields.text("credential_type", limit=64)
    kind = KINDS.get(kind_name, ANY_KIND)
    finding = Finding(
        name=ALERTNAME,
        severity=context.policy.credentials.severity_of(
            kind_name, _left(expires_at, now=context.now)
        ),
        labels={
            "credential_id": fields.text("credential_id", "key_id"),
            "credential_type": kind_name,
        },
        summary=f"{_titled(kind, fields)} of {identity(event)} {_when(expires_at, context.now)}",
        description=_description(kind, fields, expires_at),
        ends_at=_ends_at(expires_at, reported),
        details=_details(fields, expires_at),
    )
    alert = firing(event, finding, now=context.now)
    over = (level for level in Severity if level is not finding.severity)
    return Decision(
        (alert, *(superseded(event, finding, level, now=context.now) for level in over)),
        f"{kind.named}, {finding.severity.value}, {_when(expires_at, context.now)}",
        notices=_notices(event, alert, fields, expires_at),
    )


def _notices(
    event: Event, alert: Alert, fields: Fields, expires_at: float | None
) -> tuple[Notice, ...]:
    """Return what rotation has to know: of the types that this service can rotate, and no other.

    A certificate is renewed by the SDK and a bootstrap key is used or revoked: nothing of those
    is for a machine here.
    """
    kind = fields.text("credential_type", limit=64)
    if kind not in ROTATED_TYPES:
        return ()
    return (
        Notice(
            type=kind,
            credential_id=fields.text("credential_id", "key_id", absent=""),
            label=fields.text("label", absent=""),
            instance_id=clean(event.instance_id or "", LABEL_CHARS),
            client_id=clean(event.client_id or "", LABEL_CHARS),
            endpoint=event.endpoint,
            reported_at=alert.starts_at,
            expires_at=expires_at or 0.0,
            incident={name: text for name, text in alert.labels.items() if name != "severity"},
        ),
    )


def _left(expires_at: float | None, *, now: float) -> float:
    """Return the seconds left; an unknown expiry is worth a look in the day, not at night."""
    return UNDATED_SECONDS if expires_at is None else expires_at - now


def _expires_at(fields: Fields, reported: float) -> float | None:
    stated = fields.time("expires_at")
    if stated is not None:
        return stated
    days = fields.number("days_remaining")
    return None if days is None or abs(days) > MAX_DAYS else reported + days * DAY


def _ends_at(expires_at: float | None, reported: float) -> float:
    if expires_at is None:
        return reported + UNDATED_SECONDS
    return max(expires_at, reported + LEAST_SECONDS)


def _when(expires_at: float | None, now: float) -> str:
    if expires_at is None:
        return "is expiring, date unknown"
    left = expires_at - now
    return f"expires in {span(left)}" if left > 0 else f"expired {span(-left)} ago"


def _titled(kind: Kind, fields: Fields) -> str:
    label = fields.text("label", limit=64)
    named = label if label != UNKNOWN else fields.text("credential_id", "key_id", limit=64)
    return f"{kind.named[0].upper()}{kind.named[1:]} {named}"


def _description(kind: Kind, fields: Fields, expires_at: float | None) -> str:
    when = utc(expires_at) if expires_at is not None else "an unknown time"
    return (
        f"{_titled(kind, fields)} stops working at {when}. "
        f"Why it matters: {kind.why} What to do: {kind.then}"
    )


def _details(fields: Fields, expires_at: float | None) -> dict[str, str]:
    return {
        "label": fields.text("label"),
        "expires_at": utc(expires_at) if expires_at is not None else UNKNOWN,
    }
