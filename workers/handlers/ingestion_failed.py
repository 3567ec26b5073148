"""`ingestion.failed`: Synap could not turn a document into memories.

Fires until no failure of the same kind was reported for a quiet time; the alert's end is only
assumed and moves with each further report. One alert stands for all failures of the same
instance, stage and code; the document of the latest one is in the annotations. Many failures on
one instance within a short time are one more alert, which stands for the storm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from receiver.event import Event
from workers.alert import Alert
from workers.handlers.decision import Burst, Context, Decision, Finding, Note, firing, identity
from workers.handlers.fields import LABEL_CHARS, TEXT_CHARS, UNKNOWN, Fields, clean, span, utc
from workers.handlers.policy import Cause, Ingestion
from workers.synap.failures import CORRELATIONS, COUNTED, DOCUMENTS, Tally

ALERTNAME: Final = "SynapIngestionFailed"
BURST: Final = "SynapIngestionBurst"

SUSPECT_SECONDS: Final = 3_600.0
"""For how long after a configuration was applied it is suspected of what fails."""

UNTOLD_SECONDS: Final = 120.0
KEPT_SECONDS: Final = 7 * 86_400
"""How long a tally is kept for the tick, should none come by."""


class Verdict(NamedTuple):
    """What a cause means for on-call."""

    why: str
    then: str


VERDICTS: Final = {
    Cause.AUTHENTICATION: Verdict(
        "Synap refused the credential, so every ingestion that uses it fails, not this one alone.",
        "Check which key the failing application uses (GET /api/v1/auth/whoami answers for a live "
        "key), put a live key in its place and deploy; then ingest again what failed.",
    ),
    Cause.CREDITS: Verdict(
        "The account has no credits left: nothing is ingested until they are topped up.",
        "Top up credits or raise the plan in the Synap Dashboard; then ingest again what failed.",
    ),
    Cause.PERMANENT: Verdict(
        "Trying again will not help: this content stays missing from memory until it is mended.",
        "Read the error, mend the document or the request, and ingest it again.",
    ),
    Cause.TRANSIENT: Verdict(
        "Synap or the way to it was briefly unable; the same content can be ingested again as is.",
        "Nothing yet if it stays at a few; if it goes on, check Synap's status and your rate "
        "limit, and ingest again what failed.",
    ),
    Cause.UNCLEAR: Verdict(
        "Synap did not say whether trying again helps; the content is missing from memory.",
        "Look the document up in the Synap Dashboard and ingest it again once; if it fails again, "
        "send the correlation id to Synap's support.",
    ),
}

_CODES: Final = {
    Cause.AUTHENTICATION: (
        "401",
        "403",
        "UNAUTHORIZED",
        "FORBIDDEN",
        "CREDENTIAL_INVALID",
        "BOOTSTRAP_KEY_INVALID",
        "BOOTSTRAP_KEY_EXPIRED",
        "BOOTSTRAP_KEY_CONSUMED",
        "AUTHENTICATION_FAILED",
        "AUTH_FAILED",
    ),
    Cause.CREDITS: (
        "402",
        "PAYMENT_REQUIRED",
        "INSUFFICIENT_CREDITS",
        "CREDITS_EXHAUSTED",
        "TRIAL_LIMIT_REACHED",
        "SUBSCRIPTION_INACTIVE",
        "OVERAGES_DISABLED",
    ),
    Cause.PERMANENT: (
        "400",
        "404",
        "409",
        "413",
        "415",
        "422",
        "INVALID_INPUT",
        "NOT_FOUND",
        "CONFIG_CONFLICT",
    ),
    Cause.TRANSIENT: (
        "408",
        "429",
        "500",
        "502",
        "503",
        "504",
        "RATE_LIMITED",
        "TIMEOUT",
        "SERVICE_UNAVAILABLE",
    ),
}
CAUSE_OF: Final = {code: cause for cause, codes in _CODES.items() for code in codes}


def decide(event: Event, context: Context) -> Decision:
    """Fire one alert for this kind of failure, and one for a burst if this is part of one."""
    policy = context.policy.ingestion
    fields = Fields(event.data)
    code = _code(fields)
    cause = cause_of(code, retryable=fields.flag("retryable"))
    severity = policy.severities[cause]
    stage = fields.text("stage")
    changed = _change(event, context)
    quiet_at = context.now + policy.quiet
    finding = Finding(
        name=ALERTNAME,
        severity=severity,
        labels={"cause": cause.value, "stage": stage, "error_code": code},
        summary=f"Ingestion fails on {identity(event)}: {_named(cause)} ({code}) in stage {stage}",
        description=_description(fields, VERDICTS[cause]) + changed,
        # The tick tells the end, with its summary; this is only for when nobody ticks.
        ends_at=context.now + policy.quiet + UNTOLD_SECONDS,
        details=_details(fields),
    )
    alert = firing(event, finding, now=context.now)
    latest = f"{_named(cause)} ({code}) in stage {stage}"
    return Decision(
        (alert,),
        f"{cause.value} failure, {severity.value}, fires until quiet",
        _burst(event, policy, latest=latest, changed=changed, now=context.now),
        (tally_note(event, alert, fields.text("document_id", absent=""), quiet_at),),
    )


def tally_note(event: Event, alert: Alert, document: str, over_at: float) -> Note:
    """Return what counts an event under its alert, once however often it is processed."""
    correlation = clean(event.correlation_id or "", LABEL_CHARS)
    return Note(
        "ingestion_failure",
        (
            alert.fingerprint,
            event.key,
            alert.starts_at,
            over_at,
            document,
            correlation,
            alert.to_wire(),
            COUNTED,
            DOCUMENTS,
            CORRELATIONS,
            KEPT_SECONDS,
        ),
    )


def over(tally: Tally) -> Alert:
    """Return the end of an alert, which sums up what failed under it."""
    alert, ids, traces = tally.alert, tally.documents, tally.correlations
    several = f"{tally.counted} failure{'s' if tally.counted != 1 else ''}"
    when = f"from {utc(tally.first)} to {utc(tally.last)}"
    more = ", and others" if tally.counted > len(ids) == DOCUMENTS else ""
    text = (
        f"Over: {several} {when}. "
        f"Documents: {', '.join(ids) or UNKNOWN}{more}. "
        f"Correlation ids for Synap's support: {', '.join(traces) or UNKNOWN}. "
        "What to do: ingest again what failed, if it has not been done."
    )
    named = alert.annotations.get("summary", "").removeprefix("Ingestion fails on ")
    summary = f"Ingestion no longer fails on {named} ({several})"
    return replace(
        alert,
        annotations={**alert.annotations, "summary": summary, "description": text},
        starts_at=min(alert.starts_at, tally.first),
        updated_at=max(alert.updated_at, tally.over_at),
        ends_at=tally.over_at,
        timeout=False,
    )


def _change(event: Event, context: Context) -> str:
    """Return the sentence about a configuration that changed within the hour before."""
    if event.instance_id is None:
        return ""
    latest = context.synap.latest_change(identity(event))
    if latest is None or not 0 <= event.timestamp - latest.at <= SUSPECT_SECONDS:
        return ""
    ago = span(event.timestamp - latest.at)
    by = f" by {latest.by}" if latest.by else ""
    return f" Configuration {latest.named} was applied{by} {ago} before it: it may be the cause."


def _burst(event: Event, policy: Ingestion, *, latest: str, changed: str, now: float) -> Burst:
    """Return what counts this failure, and the alert that goes out if it makes a burst."""
    name = identity(event)

    def alerts() -> tuple[Alert, ...]:
        return (firing(event, _in_bulk(name, policy, latest, changed, now), now=now),)

    return Burst(
        of=f"{event.kind}:{event.endpoint}:{name}",
        event_key=event.key,
        received_at=event.received_at,
        window=policy.window,
        least=policy.threshold,
        alerts=alerts,
    )


def _in_bulk(name: str, policy: Ingestion, latest: str, changed: str, now: float) -> Finding:
    return Finding(
        name=BURST,
        severity=policy.burst_severity,
        labels={},
        summary=f"Ingestion fails in bulk on {name}: {policy.threshold} or more within "
        f"{span(policy.window)}",
        description=(
            f"At least {policy.threshold} documents were not ingested within "
            f"{span(policy.window)}; the latest: {latest}. "
            "Why it matters: this is no longer about single documents: what agents are told now "
            "does not reach their memory. "
            "What to do: look at the causes (synap-hooks alerts list), mend the one that most "
            f"failures share, and ingest again what failed.{changed}"
        ),
        ends_at=now + policy.quiet,
        details={},
    )


def cause_of(code: str, *, retryable: bool | None) -> Cause:
    """Return what kind of trouble a failure is.

    A code that stands for credentials or credits decides alone; else what the event says about
    trying again goes before what the code is known to mean.
    """
    known = CAUSE_OF.get(code.upper())
    if known in (Cause.AUTHENTICATION, Cause.CREDITS):
        return known
    if retryable is not None:
        return Cause.TRANSIENT if retryable else Cause.PERMANENT
    return known or Cause.UNCLEAR


def _code(fields: Fields) -> str:
    found = fields.text("error_code", "code", limit=64)
    return found if found != UNKNOWN else fields.within("error").text("code", limit=64)


def _message(fields: Fields) -> str:
    found = fields.text("error_message", "error", limit=TEXT_CHARS)
    return found if found != UNKNOWN else fields.within("error").text("message", limit=TEXT_CHARS)


def _named(cause: Cause) -> str:
    return {
        Cause.AUTHENTICATION: "credential refused",
        Cause.CREDITS: "credits exhausted",
        Cause.PERMANENT: "permanent error",
        Cause.TRANSIENT: "transient error",
        Cause.UNCLEAR: "unclear error",
    }[cause]


def _description(fields: Fields, verdict: Verdict) -> str:
    document = fields.text("document_id")
    kind = fields.text("document_type", absent="document")
    attempt = fields.text("attempt")
    counted = f" on attempt {attempt}" if attempt != UNKNOWN else ""
    return (
        f"Document {document} ({kind}) was not ingested{counted}. Synap says: {_message(fields)}. "
        f"Why it matters: {verdict.why} What to do: {verdict.then}"
    )


def _details(fields: Fields) -> dict[str, str]:
    names = ("ingestion_id", "document_id", "document_type", "attempt", "user_id", "customer_id")
    return {name: fields.text(name) for name in names}
