"""`retention.cleanup`: Synap deleted memories as the retention policy says.

Information: it ends by itself after an hour, so that each day's run is told anew and nothing
stays open. A dry run is told apart by its label; it deletes nothing.
"""

from __future__ import annotations

from typing import Final

from receiver.event import Event
from workers.handlers.decision import (
    INFORMATION_SECONDS,
    Context,
    Decision,
    Finding,
    Severity,
    firing,
    identity,
)
from workers.handlers.fields import UNKNOWN, Fields, span

ALERTNAME: Final = "SynapRetentionCleanup"


def decide(event: Event, context: Context) -> Decision:
    """Tell what the run deleted."""
    fields = Fields(event.data)
    rehearsed = fields.flag("dry_run") is True
    deleted = fields.text("memories_deleted")
    verb = "would delete" if rehearsed else "deleted"
    scope = fields.text("scope")
    finding = Finding(
        name=ALERTNAME,
        severity=Severity.INFO,
        labels={"scope": scope, "dry_run": "true" if rehearsed else "false"},
        summary=f"Retention {verb} {deleted} memories on {identity(event)} (scope {scope})",
        description=_description(fields, verb),
        ends_at=context.now + INFORMATION_SECONDS,
        details=_details(fields),
    )
    return Decision(
        (firing(event, finding, now=context.now),),
        f"retention run{' (dry)' if rehearsed else ''}, information",
    )


def share(fields: Fields) -> float | None:
    """Return the part of the scanned memories that was deleted, 0 to 1, where both are known."""
    deleted = fields.number("memories_deleted")
    scanned = fields.number("memories_scanned", "memories_total")
    if deleted is None or scanned is None or not 0 <= deleted <= scanned or scanned == 0:
        return None
    return deleted / scanned


def _description(fields: Fields, verb: str) -> str:
    part = share(fields)
    portion = f" ({part:.1%})" if part is not None else ""
    scanned = fields.text("memories_scanned", "memories_total")
    return (
        f"The run {verb} {fields.text('memories_deleted')} of {scanned} memories{portion} in "
        f"{_duration(fields)}; policy: {_policy(fields)}. "
        "Why it matters: deleted memories do not come back. "
        "What to do: nothing if the number is what the policy should delete; else compare the "
        "policy with the active configuration and correct it before the next run."
    )


def _duration(fields: Fields) -> str:
    started, completed = fields.time("started_at"), fields.time("completed_at")
    if started is None or completed is None or completed < started:
        return "an unknown time"
    return span(completed - started)


def _policy(fields: Fields) -> str:
    policy = fields.within("policy")
    age = policy.text("max_memory_age_days", limit=32)
    most = policy.text("max_memories_per_scope", limit=32)
    if age == most == UNKNOWN:
        return fields.text("policy")
    return f"at most {age} days and {most} memories per scope"


def _details(fields: Fields) -> dict[str, str]:
    return {
        "memories_deleted": fields.text("memories_deleted"),
        "memories_scanned": fields.text("memories_scanned", "memories_total"),
        "policy": _policy(fields),
    }
