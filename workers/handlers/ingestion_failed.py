"""`ingestion.failed`: Synap could not turn a document into memories.

Fires until no failure of the same kind was reported for a quiet time; the alert's end is only
assumed and moves with each further report. One alert stands for all failures of the same
instance, stage and code; the document of the latest one is in the annotations.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from receiver.event import Event
from workers.handlers.decision import Context, Decision, Finding, Severity, firing, identity
from workers.handlers.fields import TEXT_CHARS, UNKNOWN, Fields

ALERTNAME: Final = "SynapIngestionFailed"
QUIET_SECONDS: Final = 15 * 60.0


class Cause(StrEnum):
    """What kind of trouble an error code stands for; the `cause` label."""

    AUTHENTICATION = "authentication"
    CREDITS = "credits"
    PERMANENT = "permanent"
    TRANSIENT = "transient"
    UNCLEAR = "unclear"


class Verdict(NamedTuple):
    """What a cause means for on-call."""

    severity: Severity
    why: str
    then: str


VERDICTS: Final = {
    Cause.AUTHENTICATION: Verdict(
        Severity.CRITICAL,
        "Synap refused the credential, so every ingestion that uses it fails, not this one alone.",
        "Check which key the failing application uses (GET /api/v1/auth/whoami answers for a live "
        "key), put a live key in its place and deploy; then ingest again what failed.",
    ),
    Cause.CREDITS: Verdict(
        Severity.HIGH,
        "The account has no credits left: nothing is ingested until they are topped up.",
        "Top up credits or raise the plan in the Synap Dashboard; then ingest again what failed.",
    ),
    Cause.PERMANENT: Verdict(
        Severity.MEDIUM,
        "Trying again will not help: this content stays missing from memory until it is mended.",
        "Read the error, mend the document or the request, and ingest it again.",
    ),
    Cause.TRANSIENT: Verdict(
        Severity.LOW,
        "Synap or the way to it was briefly unable; the same content can be ingested again as is.",
        "Nothing yet if it stays at a few; if it goes on, check Synap's status and your rate "
        "limit, and ingest again what failed.",
    ),
    Cause.UNCLEAR: Verdict(
        Severity.MEDIUM,
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
    """Fire one alert for this kind of failure."""
    fields = Fields(event.data)
    code = _code(fields)
    cause = cause_of(code, retryable=fields.flag("retryable"))
    verdict = VERDICTS[cause]
    stage = fields.text("stage")
    finding = Finding(
        name=ALERTNAME,
        severity=verdict.severity,
        labels={"cause": cause.value, "stage": stage, "error_code": code},
        summary=f"Ingestion fails on {identity(event)}: {_named(cause)} ({code}) in stage {stage}",
        description=_description(fields, verdict),
        ends_at=context.now + QUIET_SECONDS,
        details=_details(fields),
    )
    return Decision(
        (firing(event, finding, now=context.now),),
        f"{cause.value} failure, {verdict.severity.value}, fires until quiet",
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
