"""How configurations, judgements and rollbacks are shown: to people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from workers.cli import output
from workers.cli.output import iso, stamp
from workers.cli.rollback_plan import Done, Order, Plan
from workers.handlers.fields import clean
from workers.synap.answers import Configuration, Version
from workers.synap.difference import Change, shown
from workers.synap.guard import Judgement
from workers.synap.records import Pin, Record, Remembered
from workers.synap.schema import Settings

VERSIONS: Final = (
    "VERSION", "STATUS", "ID", "BY", "REVIEWED BY", "CREATED", "APPLIED", "REASON",
)  # fmt: skip
FIELDS: Final = ("FIELD", "VALUE", "SOURCE")
NOT_SHOWN: Final = (
    "Synap shows which version is active, and no more: whether new requests use it is seen in "
    "the application."
)


def version(
    found: Configuration,
    remembered: Remembered,
    good: Record | None,
    *,
    now: float,
    as_json: bool,
) -> None:
    """Show one version and what is remembered of its instance."""
    pinned = remembered.pin
    if as_json:
        output.document(
            {
                "config_id": found.config_id,
                "version": found.version,
                "status": found.status or None,
                "applied_at": iso(found.applied_at),
                "applied_by": found.applied_by or None,
                "settings": found.settings.every(),
                "unknown": sorted(found.settings.unknown),
                "odd": sorted(found.settings.odd),
                "last_good": good.config_id if good else None,
                "pinned": pinned.config_id if pinned else None,
                "alerts": sorted(_rules(remembered)),
            }
        )
        return
    output.facts(
        {
            "version": found.named,
            "status": found.status,
            "applied": f"{stamp(found.applied_at, now)} by {found.applied_by or output.ABSENT}",
            "last known good": good.named if good else "",
            "pinned": pinned.config_id if pinned else "",
            "the guard's alerts": ", ".join(sorted(_rules(remembered))),
        }
    )
    click.echo()
    rows = [
        (path, shown(path, value), _source(found.settings, path))
        for path, value in found.settings.every().items()
    ]
    output.table(FIELDS, rows)


def versions(rows: Sequence[Version], *, now: float, as_json: bool) -> None:
    """Show the list of versions."""
    if as_json:
        output.document({"versions": [_version(row) for row in rows]})
    elif rows:
        output.table(VERSIONS, [_cells(row, now) for row in rows])
    else:
        click.echo("no versions")


def changes(old: str, new: str, found: Sequence[Change], *, as_json: bool) -> None:
    """Show what differs."""
    if as_json:
        output.document({"old": old, "new": new, "changes": [one.machine for one in found]})
    elif found:
        for one in found:
            click.echo(one.words)
    else:
        click.echo("no difference")


def judgement(source: str, found: Judgement, *, as_json: bool) -> None:
    """Show what the rules say."""
    if as_json:
        output.document(
            {
                "source": source,
                "violations": [violation.machine for violation in found.violations],
                "skipped": [skipped._asdict() for skipped in found.skipped],
            }
        )
        return
    for violation in found.violations:
        click.echo(f"{violation.severity.value}: {violation.rule}: {violation.text}")
        click.echo(f"    why:  {violation.why}")
        click.echo(f"    then: {violation.fix}")
        click.echo(f"    from: {violation.item}")
    for skipped in found.skipped:
        click.echo(f"not checked: {skipped.rule}: {skipped.why}")
    click.echo(f"{len(found.violations)} violated, {len(found.skipped)} not checked")


def pin(instance: str, pinned: Pin | None, *, now: float, as_json: bool) -> None:
    """Show which version is pinned."""
    if as_json:
        shape = {**pinned._asdict(), "at": iso(pinned.at)} if pinned else None
        output.document({"instance": instance, "pinned": shape})
    elif pinned is None:
        click.echo(f"{instance}: no version is pinned")
    else:
        click.echo(
            f"{instance}: {pinned.config_id} is pinned, by {clean(pinned.by)}, "
            f"{stamp(pinned.at, now)}"
        )


def plan(found: Plan, order: Order, *, as_json: bool, err: bool = False) -> None:
    """Show what a rollback would do."""
    if as_json:
        output.document({"dry_run": True, **_plan(found, order)})
        return
    click.echo(f"{order.instance}: {found.current.named} is active", err=err)
    click.echo(f"back to {found.goal.named}, {found.why}; that changes:", err=err)
    for one in found.changes:
        click.echo(f"  {one.words}", err=err)
    if not found.changes:
        click.echo("  nothing", err=err)


def rolled_back(order: Order, found: Plan, done: Done) -> dict[str, Any]:
    """Return the JSON form of a rollback."""
    return {
        "dry_run": False,
        **_plan(found, order),
        "at": iso(done.at),
        "message": done.message,
        "verified": done.verified,
        "alerts_ended": list(done.rules),
        "lacking": done.lacking or None,
    }


def print_rolled_back(order: Order, found: Plan, done: Done) -> None:
    """Show what was done."""
    verb = "is active" if done.verified else "was asked for"
    click.echo(f"{order.instance}: {found.goal.named} {verb}: {done.message}")
    if done.verified:
        click.echo(NOT_SHOWN)
    click.echo(f"alerts ended: {', '.join(done.rules) or 'none'}")
    if done.lacking:
        click.echo(f"left undone: {done.lacking}", err=True)
    click.echo()


def _plan(found: Plan, order: Order) -> dict[str, Any]:
    return {
        "instance": order.instance,
        "actor": order.actor,
        "from": found.current.config_id,
        "to": found.goal.config_id,
        "why": found.why,
        "changes": [one.machine for one in found.changes],
    }


def _source(settings: Settings, path: str) -> str:
    """Say where a field's value comes from."""
    if path in settings.unknown:
        return "given, not documented"
    if path in settings.odd:
        return "given, of another type than documented"
    return "given" if path in settings.given else "default"


def _rules(remembered: Remembered) -> list[str]:
    return [alert.labels.get("rule", "") for alert in remembered.alerts.values()]


def _version(row: Version) -> dict[str, Any]:
    return {
        "config_id": row.config_id,
        "version": row.version,
        "status": row.status or None,
        "triggered_by": row.triggered_by or None,
        "reviewed_by": row.reviewed_by or None,
        "reason": row.reason or None,
        "created_at": iso(row.created_at),
        "applied_at": iso(row.applied_at),
    }


def _cells(row: Version, now: float) -> tuple[str, ...]:
    return (
        "" if row.version is None else str(row.version),
        row.status,
        row.config_id,
        row.triggered_by,
        row.reviewed_by,
        stamp(row.created_at, now),
        stamp(row.applied_at, now),
        row.reason,
    )
