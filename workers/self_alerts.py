"""Alerts about this service itself; all end by themselves when they are not reported again."""

from __future__ import annotations

from typing import Final

from receiver.errors import Flaw
from workers.alert import Alert

REPORTED_FOR: Final = 3_600.0
"""Seconds for which such an alert fires unless it is reported again."""

TARGET_FAILING: Final = "SynapHooksTargetFailing"

_SEVERITY: Final = {
    Flaw.CONFLICT: "info",
    Flaw.STALE: "low",
    Flaw.FUTURE: "low",
}

_WHY: Final = {
    Flaw.NOT_JSON: "the body is not JSON",
    Flaw.NOT_OBJECT: "the body is JSON, but not an object",
    Flaw.NO_TYPE: "the event has no type",
    Flaw.NO_ID: "the event has no id",
    Flaw.NO_TIMESTAMP: "the event has no readable timestamp",
    Flaw.STALE: "the event is older than the freshness window",
    Flaw.FUTURE: "the event is dated more than five minutes ahead of our clock",
    Flaw.CONFLICT: "the event id is known already, with another body",
}


def quarantined(endpoint: str, reason: Flaw, count: int, *, now: float) -> Alert:
    """Say that authentic events could not be processed and wait for a decision."""
    return _alert(
        "SynapHooksQuarantined",
        _SEVERITY.get(reason, "medium"),
        {"endpoint": endpoint, "reason": reason.value},
        summary=f"{count} authentic {_events(count)} in quarantine: {_WHY[reason]}",
        description=(
            f"Synap signed {_events(count)} that cannot be processed because {_WHY[reason]}."
            " They are kept and nothing is lost: look at them, then release or discard them."
        ),
        action=f"synap-hooks quarantine list --endpoint {endpoint} --reason {reason.value}",
        now=now,
    )


def check_the_clock(endpoint: str, count: int, *, now: float) -> Alert:
    """Say that many events at once were dated far from our clock."""
    return _alert(
        "SynapHooksCheckTheClock",
        "high",
        {"endpoint": endpoint},
        summary=f"{count} events at once are dated too far from this service's clock",
        description=(
            "Many stale or future-dated events at once usually mean that a clock is wrong:"
            " this machine's, Redis' or the sender's. Until it is right, good events go to"
            " quarantine. Compare `date -u` with a clock you trust, then release them."
        ),
        action=f"synap-hooks quarantine list --endpoint {endpoint}",
        now=now,
    )


def dead_letter(kind: str, reason: str, key: str, *, now: float) -> Alert:
    """Say that an event was given up after its last attempt."""
    return _alert(
        "SynapHooksDeadLetter",
        "high",
        {"kind": kind, "reason": reason},
        summary=f"An accepted {kind} event was given up: {reason}",
        description=(
            "Every attempt at this event failed, so its alert never went out. The event is kept:"
            " mend the cause, then replay it."
        ),
        action=f"synap-hooks dead show {key}",
        now=now,
    )


def dead_letters_fill_memory(share: float, limit: float, *, now: float) -> Alert:
    """Say that dead letters take more of Redis' memory than they may."""
    return _alert(
        "SynapHooksDeadLettersFillMemory",
        "high",
        {},
        summary=f"Dead letters take {share:.0%} of Redis' memory (limit {limit:.0%})",
        description=(
            "Bodies of dead letters are kept until somebody replays or discards them. Left alone"
            " they fill Redis, and then nothing can be accepted."
        ),
        action="synap-hooks dead list",
        now=now,
    )


def target_failing(receiver: str, target: str, reason: str, *, now: float) -> Alert:
    """Say that a notification was given up: its target refused it, or was not reached in time."""
    return _alert(
        TARGET_FAILING,
        "high",
        {"receiver": receiver, "target": target, "reason": reason},
        summary=f"{target} of receiver {receiver} cannot be told: {reason}",
        description=(
            "A notification was given up after its last attempt, so on-call was not told this way."
            " It is kept as a dead letter, and the group is told again at its next flush: mend"
            " the target or its secret. A receiver's fallback_receiver is told meanwhile."
        ),
        action="synap-hooks alerts list",
        now=now,
    )


def _events(count: int) -> str:
    return "event" if count == 1 else "events"


def _alert(
    name: str,
    severity: str,
    labels: dict[str, str],
    *,
    summary: str,
    description: str,
    action: str,
    now: float,
) -> Alert:
    return Alert(
        labels={"alertname": name, "severity": severity, "event_type": "service", **labels},
        annotations={
            "summary": summary,
            "description": description,
            "inspect": action,
            "runbook": f"README.md#{name.lower()}",
        },
        starts_at=now,
        updated_at=now,
        ends_at=now + REPORTED_FOR,
        timeout=True,
    )
