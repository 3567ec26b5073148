"""What is usual for retention: how much a run deletes, how often it runs, under which policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import orjson

from receiver.event import RETENTION_CLEANUP, Event
from workers.alert import Alert
from workers.handlers.decision import (
    RUNBOOK,
    Context,
    Finding,
    Note,
    firing,
    identity,
)
from workers.handlers.fields import LABEL_CHARS, UNKNOWN, Fields, clean, span, utc
from workers.handlers.policy import DAY, Retention
from workers.severity import Severity
from workers.synap.difference import shown
from workers.synap.runs import KEPT, Run, Watch, baseline, interval, watch_id
from workers.synap.schema import MOST_PER_SCOPE, TTL, Settings

OVERDUE: Final = "SynapRetentionOverdue"
DIFFERS: Final = "SynapRetentionPolicyDiffers"

KEPT_SECONDS: Final = 120 * 86_400
MOST_WATCHES: Final = 10_000
DIFFERS_SECONDS: Final = 2 * DAY
REMINDED_TIMES: Final = 3
"""How often a silence is told again, each time after another usual interval."""

_NAMES: Final = {
    TTL: ("max_memory_age_days", "default_ttl_days"),
    MOST_PER_SCOPE: ("max_memories_per_scope",),
}


class Compared(NamedTuple):
    """The policy of a run beside the active configuration's.

    `alert` fires or ends; None where the two could not be compared, for which `why` says why.
    """

    alert: Alert | None = None
    why: str = ""


def unusual(fields: Fields, runs: Sequence[Run], policy: Retention) -> str:
    """Return the sentence that says what is usual; empty if no more was deleted."""
    deleted, usual = fields.number("memories_deleted"), baseline(runs)
    if deleted is None or usual is None or deleted < policy.least_memories:
        return ""
    if deleted <= policy.most_times * usual:
        return ""
    return (
        f"More than {policy.most_times} times the usual {usual:g} (the median of the last "
        f"{len(runs)} runs) are gone. "
    )


def note(
    event: Event, fields: Fields, runs: Sequence[Run], policy: Retention, *, now: float
) -> Note:
    """Return what is to be remembered of a run, and when the next one is overdue."""
    at = min(event.timestamp, now)
    deleted, scanned = (_count(fields, name) for name in ("memories_deleted", "memories_scanned"))
    every = interval([*runs, Run(event.key, at, deleted)])
    watch = Watch(identity(event), fields.text("scope"), _endpoint(event), every or 0.0, at)
    return Note(
        "retention_run",
        (
            watch_id(watch.instance_id, watch.scope),
            event.key,
            at,
            deleted,
            scanned,
            KEPT,
            KEPT_SECONDS,
            "" if every is None else at + policy.overdue_times * every,
            orjson.dumps(watch._asdict()),
            MOST_WATCHES,
        ),
        (_overdue(watch, policy.overdue, now=now, ends_at=now),) if every is not None else (),
    )


def silence(watch: Watch, policy: Retention, *, now: float) -> Alert:
    """Return the alert that says that a run is overdue."""
    return _overdue(watch, policy.overdue, now=now, ends_at=now + REMINDED_TIMES * watch.interval)


def compared(event: Event, fields: Fields, context: Context) -> Compared:
    """Compare the policy that a run worked by with the active configuration's."""
    stated = _stated(fields.within("policy"))
    if not stated or event.instance_id is None:
        return Compared()
    known = context.synap.active(identity(event), deadline=context.ask_until)
    if known.active is None:
        return Compared(why=known.why)
    apart = _apart(stated, known.active.settings)
    finding = Finding(
        name=DIFFERS,
        severity=context.policy.retention.differs,
        labels={},
        summary=f"Retention on {identity(event)} works by another policy than the active one",
        description=(
            f"The run of scope {fields.text('scope')} worked with {'; '.join(apart)} "
            f"({known.active.named} is active). "
            "Why it matters: memories are deleted, or kept, otherwise than was decided. "
            "What to do: compare with synap-hooks maca show "
            f"{identity(event)}, apply the configuration that is meant, and tell Synap's support "
            "if the next run still differs."
        ),
        ends_at=context.now + DIFFERS_SECONDS,
        details={"config_id": known.active.config_id},
    )
    alert = firing(event, finding, now=context.now)
    if not apart:
        alert = replace(alert, ends_at=alert.updated_at, timeout=False)
    return Compared(alert)


def _overdue(watch: Watch, severity: Severity, *, now: float, ends_at: float) -> Alert:
    every = span(watch.interval)
    return Alert(
        labels={
            "alertname": OVERDUE,
            "severity": severity.value,
            "event_type": RETENTION_CLEANUP,
            "instance_id": watch.instance_id,
            "endpoint": watch.endpoint,
            "scope": watch.scope,
        },
        annotations={
            "summary": f"No retention run on {watch.instance_id} (scope {watch.scope}) in time",
            "description": (
                f"Runs usually come every {every}; the last one was reported at "
                f"{utc(watch.last)}. "
                "Why it matters: what should be deleted is kept, or the reports no longer arrive. "
                "What to do: look for the run in the Synap Dashboard; if it ran, check that the "
                "webhook is still subscribed to retention.cleanup."
            ),
            "runbook": RUNBOOK + OVERDUE.lower(),
        },
        starts_at=min(watch.last, now),
        updated_at=now,
        ends_at=ends_at,
        timeout=ends_at > now,
    )


def _stated(policy: Fields) -> dict[str, float | None]:
    """Return what a run's policy says, by the path of the field; None stands for unlimited."""
    stated: dict[str, float | None] = {}
    for path, names in _NAMES.items():
        for name in names:
            number = policy.number(name)
            if name in policy.data and (number is not None or policy.data[name] is None):
                stated[path] = number or None
    return stated


def _apart(stated: dict[str, float | None], active: Settings) -> list[str]:
    """Return in words where a run's policy differs from the active configuration."""
    named = {TTL: "an age of at most", MOST_PER_SCOPE: "memories per scope of at most"}
    return [
        f"{named[path]} {_shown(path, value)} instead of {shown(path, active.value(path))}"
        for path, value in stated.items()
        if active.readable(path) and value != active.value(path)
    ]


def _shown(path: str, value: float | None) -> str:
    return shown(path, None if value is None else int(value))


def _count(fields: Fields, name: str) -> int:
    other = "memories_total" if name == "memories_scanned" else name
    found = fields.number(name, other)
    return int(found) if found is not None and 0 <= found < 2**53 else 0


def _endpoint(event: Event) -> str:
    return clean(event.endpoint, LABEL_CHARS) or UNKNOWN
