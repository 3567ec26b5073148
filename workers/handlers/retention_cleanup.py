"""`retention.cleanup`: Synap deleted memories as the retention policy says.

Information, unless the run deleted more than the policy expects. Information ends by itself
after an hour, so that each day's run is told anew and nothing stays open; too much deleted stays
up for a day, or until a run of the same scope that deleted no more than expected. A dry run is
told apart by its label; it deletes nothing. Each run is remembered: the next ones are measured
against it, its silence is noticed, and its policy is compared with the active configuration's.
"""

from __future__ import annotations

from typing import Final

from receiver.event import Event
from workers.handlers.decision import (
    INFORMATION_SECONDS,
    Context,
    Decision,
    Finding,
    firing,
    identity,
    superseded,
)
from workers.handlers.fields import UNKNOWN, Fields, span
from workers.handlers.policy import DAY, Retention
from workers.handlers.retention_habit import Compared, compared, note, unusual
from workers.severity import Severity
from workers.synap.runs import Run

ALERTNAME: Final = "SynapRetentionCleanup"


def decide(event: Event, context: Context) -> Decision:
    """Tell what the run deleted, and whether that was too much."""
    policy = context.policy.retention
    fields = Fields(event.data)
    rehearsed = fields.flag("dry_run") is True
    runs = () if rehearsed else _runs(event, fields, context)
    excess = "" if rehearsed else _excess(fields, policy) or unusual(fields, runs, policy)
    beside = compared(event, fields, context)
    severity = policy.exceeded if excess else Severity.INFO
    deleted = fields.text("memories_deleted")
    verb = "would delete" if rehearsed else "deleted"
    scope = fields.text("scope")
    finding = Finding(
        name=ALERTNAME,
        severity=severity,
        labels={"scope": scope, "dry_run": "true" if rehearsed else "false"},
        summary=f"Retention {verb} {deleted} memories on {identity(event)} (scope {scope})",
        description=f"{excess}{_description(fields, verb)}{_uncompared(beside)}",
        ends_at=context.now + (DAY if excess else INFORMATION_SECONDS),
        details=_details(fields),
    )
    alert = firing(event, finding, now=context.now)
    other = Severity.INFO if excess else policy.exceeded
    over = superseded(event, finding, other, now=context.now)
    alerts = (alert,) if other is severity else (alert, over)
    return Decision(
        alerts if beside.alert is None else (*alerts, beside.alert),
        f"retention run{' (dry)' if rehearsed else ''}, "
        f"{'deleted more than expected' if excess else 'information'}",
        notes=() if rehearsed else (note(event, fields, runs, policy, now=context.now),),
    )


def _runs(event: Event, fields: Fields, context: Context) -> tuple[Run, ...]:
    """Return the runs before this one, of the same instance and scope."""
    known = context.synap.runs(identity(event), fields.text("scope"))
    return tuple(run for run in known if run.event_key != event.key)


def _uncompared(beside: Compared) -> str:
    if not beside.why:
        return ""
    return f" Not compared with the active configuration: {beside.why}."


def _excess(fields: Fields, policy: Retention) -> str:
    """Return the sentence that says what was expected; empty if no more was deleted."""
    part, deleted = share(fields), fields.number("memories_deleted")
    if policy.most_share is not None and part is not None and part > policy.most_share:
        return f"More than the expected {policy.most_share:.0%} of all memories are gone. "
    if policy.most_memories is not None and deleted is not None and deleted > policy.most_memories:
        return f"More than the expected {policy.most_memories} memories are gone. "
    return ""


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
