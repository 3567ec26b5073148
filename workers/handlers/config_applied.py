"""`config.applied`: another memory configuration is active on the instance.

Two kinds of alerts. The change itself is information: it names what became different, and ends
by itself after an hour, so that nothing stays open that nobody has to close. Each rule of the
guard that fires is an alert of its own, which stays until a configuration without that violation
is applied. What could not be looked up is said; a rule that could not be checked closes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import orjson

from receiver.event import Event
from workers.alert import Alert
from workers.handlers.decision import (
    INFORMATION_SECONDS,
    Context,
    Decision,
    Finding,
    Note,
    firing,
    identity,
)
from workers.handlers.fields import UNKNOWN, Fields, utc
from workers.severity import Severity
from workers.synap.difference import Change, in_words
from workers.synap.guard import Violation
from workers.synap.records import Inspection, Question, Record
from workers.synap.violations import ALERTNAME as VIOLATION
from workers.synap.violations import RULE, Target, closing, rollback_command, target

ALERTNAME: Final = "SynapConfigApplied"
TOLD_CHANGES: Final = 8
MACHINE_CHARS: Final = 3_000


class _View(NamedTuple):
    """An event with what was found out about it."""

    event: Event
    fields: Fields
    seen: Inspection
    record: Record

    @property
    def target(self) -> Target | None:
        """The version to go back to, if one is known."""
        seen, record = self.seen, self.record
        return target(seen.remembered, record, now=record.at, good_after=seen.good_after)


def decide(event: Event, context: Context) -> Decision:
    """Tell of the change once for each pair of configurations, and of each violated rule."""
    fields = Fields(event.data)
    asked = _question(event, fields, now=context.now)
    seen = context.synap.inspect(asked, deadline=context.ask_until)
    view = _View(event, fields, seen, _record(asked, fields, seen))
    current = seen.remembered.current
    told = firing(event, _told(view, context.now), now=context.now)
    if current is not None and current.at > asked.at:
        return Decision((told,), "change told, a later one was judged before it")
    alerts = tuple(_violation(view, found, now=context.now) for found in seen.judgement.violations)
    fired = {alert.fingerprint for alert in alerts}
    over = closing(seen.remembered.alerts.values(), seen.judgement, fired=fired, at=asked.at)
    note = applied_note(view.record, asked, seen, alerts, over)
    verdict = f"{len(alerts)} rule{'s' * (len(alerts) > 1)} fired" if alerts else "no rule fired"
    missed = f", {len(seen.judgement.skipped)} not checked" if seen.judgement.skipped else ""
    return Decision((told,), f"change told, {verdict}{missed}", notes=(note,))


def applied_note(
    record: Record,
    asked: Question,
    seen: Inspection,
    alerts: tuple[Alert, ...],
    over: tuple[Alert, ...],
) -> Note:
    """Return what is to be remembered of a judgement, with the alerts that come of it."""
    wires = {alert.fingerprint: alert.to_wire().decode() for alert in alerts}
    return Note(
        "config_applied",
        (
            asked.instance_id,
            asked.at,
            record.config_id,
            int(record.clean),
            record.to_wire(),
            seen.good_after,
            orjson.dumps(wires),
            orjson.dumps([alert.fingerprint for alert in over]),
        ),
        (*over, *alerts),
    )


def _question(event: Event, fields: Fields, *, now: float) -> Question:
    return Question(
        instance_id=identity(event),
        config_id=fields.text("config_id", absent=""),
        previous=fields.text("previous_config_id", "rollback_config_id", absent=""),
        mode=fields.text("mode", limit=64, absent=""),
        at=min(fields.time("applied_at") or event.timestamp, now),
    )


def _record(asked: Question, fields: Fields, seen: Inspection) -> Record:
    applied = seen.applied
    version = applied.version if applied else None
    return Record(
        config_id=applied.config_id if applied else asked.config_id or UNKNOWN,
        at=asked.at,
        version=fields.text("version", limit=64, absent="" if version is None else str(version)),
        by=fields.text("applied_by", absent=applied.applied_by if applied else ""),
        mode=asked.mode,
        reason=fields.text("reason", limit=200, absent=""),
        previous=seen.previous or asked.previous,
        clean=applied is not None and seen.judgement.clean,
    )


def _told(view: _View, now: float) -> Finding:
    record = view.record
    return Finding(
        name=ALERTNAME,
        severity=Severity.INFO,
        labels={
            "config_id": record.config_id,
            "previous_config_id": record.previous or UNKNOWN,
            "mode": record.mode or UNKNOWN,
        },
        summary=f"Configuration {_versioned(record)} is active on {identity(view.event)}",
        description=_description(view),
        ends_at=now + INFORMATION_SECONDS,
        details=_details(view),
    )


def _versioned(record: Record) -> str:
    return f"{record.config_id} (version {record.version})" if record.version else record.config_id


def _description(view: _View) -> str:
    record = view.record
    return (
        f"Applied by {record.by or UNKNOWN}{_when(view.fields)}, mode {record.mode or UNKNOWN}, "
        f"reason: {record.reason or UNKNOWN}. {_changed(view.seen)}{_unknown(view.seen)}"
        "Why it matters: what is stored, found and kept changes from now on, and trouble that "
        "begins within the hour may come from it. "
        f"What to do: nothing if the change was planned; else {_way_back(view)}."
    )


def _when(fields: Fields) -> str:
    applied = fields.time("applied_at")
    return f" at {utc(applied)}" if applied is not None else ""


def _changed(seen: Inspection) -> str:
    if seen.changes is None:
        return ""
    return f"Changed: {in_words(seen.changes, most=TOLD_CHANGES)}. "


def _unknown(seen: Inspection) -> str:
    return f"Could not be looked up: {'; '.join(seen.missed)}. " if seen.missed else ""


def _way_back(view: _View) -> str:
    """Return what to do to go back, with the exact command where it is known."""
    goal, command = view.target, _rollback(view)
    if goal is None or not command:
        return f"see what there is to go back to: synap-hooks maca versions {identity(view.event)}"
    whose = "the last one that proved good" if goal.proven else "the one before"
    return f"go back to {goal.named}, {whose}: {command}"


def _rollback(view: _View) -> str:
    goal = view.target
    return rollback_command(identity(view.event), goal.config_id) if goal else ""


def _violation(view: _View, found: Violation, *, now: float) -> Alert:
    finding = Finding(
        name=VIOLATION,
        severity=found.severity,
        labels={RULE: found.rule},
        summary=f"Configuration {_versioned(view.record)} on {identity(view.event)}: {found.text}",
        description=(
            f"Rule {found.rule}: {found.text}. {_changed(view.seen)}"
            f"Applied by {view.record.by or UNKNOWN}{_when(view.fields)}. "
            f"Why it matters: {found.why} (From: {found.item}.) "
            f"What to do: {found.fix} Or {_way_back(view)}."
        ),
        ends_at=0.0,
        details=_details(view) | {"checklist": found.item},
    )
    alert = firing(view.event, finding, now=now)
    return replace(alert, ends_at=None, timeout=False)


def _details(view: _View) -> dict[str, str]:
    record, changes = view.record, view.seen.changes
    return {
        "config_id": record.config_id,
        "version": record.version,
        "applied_by": record.by,
        "mode": record.mode,
        "reason": record.reason,
        "previous_config_id": record.previous,
        "rollback": _rollback(view),
        "changes": "" if changes is None else _machine(changes),
    }


def _machine(changes: Sequence[Change]) -> str:
    """Return as many changes as JSON as an annotation holds."""
    rows = [change.machine for change in changes]
    while len(text := orjson.dumps(rows).decode()) > MACHINE_CHARS:
        rows = rows[: len(rows) // 2]
    return text
