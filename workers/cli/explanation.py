"""The story of one alert: how it stands, where it goes, and every decision about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from workers.alerting.history import KEPT_SECONDS, AlertHistory
from workers.alerting.listing import AlertListing
from workers.alerting.ports import Record, Seen
from workers.alerting.trace import Step, trace
from workers.cli import output
from workers.cli.alert_view import Standing, standing
from workers.cli.alert_view import shape as shape_of
from workers.cli.alert_view import told as told_of
from workers.cli.configuration import routed
from workers.cli.exits import Nothing
from workers.cli.output import iso, stamp
from workers.cli.session import Session, World

DECIDED: Final = ("AT", "RECEIVER", "BY", "DECISION", "WHY")
TRIED: Final = ("AT", "TARGET", "STATUS", "TRY", "OUTCOME", "REASON", "DETAIL", "MS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that is known of an alert; `decisions` and `attempts` are oldest first."""

    fingerprint: str
    labels: Mapping[str, str]
    now: float
    standing: tuple[Standing, ...]
    steps: tuple[Step, ...]
    decisions: tuple[Record, ...]
    attempts: tuple[Mapping[str, str], ...]


def story(world: World, session: Session, name: str, *, since: float | None) -> Story:
    """Return the story of the alert that goes by `name`.

    Raises:
        Nothing: no alert, or more than one, goes by it.
    """
    history = AlertHistory(session.redis, session.keys.prefix)
    rows = list(standing(session))
    live = {row.row.alert.fingerprint for row in rows}
    named = {one for one in live if one.startswith(name)} | set(history.named(name))
    if len(named) > 1:
        raise Nothing(f"{len(named)} alerts begin with {name}; give more of it")
    if not named:
        raise Nothing(f"no alert has the id {name}; `synap-hooks alerts list` shows them")
    (fingerprint,) = named
    back = session.now - (KEPT_SECONDS if since is None else since)
    decisions = [
        record
        for record in history.newest(since=back)
        if any(seen.fingerprint == fingerprint for seen in record.alerts)
    ]
    mine = tuple(row for row in rows if row.row.alert.fingerprint == fingerprint)
    labels = mine[0].row.alert.labels if mine else history.labels(fingerprint)
    gids = {record.gid for record in decisions} | {row.row.group.gid for row in mine}
    attempts = AlertListing(session.redis, session.keys.prefix).attempts(sorted(gids))
    return Story(
        fingerprint=fingerprint,
        labels=labels,
        now=session.now,
        standing=mine,
        steps=tuple(trace(routed(world, None).alerting.route, labels)),
        decisions=tuple(reversed(decisions)),
        attempts=tuple(row for row in attempts if float(row["at"]) >= back),
    )


def shape(found: Story) -> dict[str, Any]:
    """Return the documented JSON form."""
    return {
        "id": found.fingerprint,
        "labels": dict(found.labels),
        "groups": [shape_of(one) for one in found.standing],
        "receivers": [step.route.options.receiver for step in found.steps if step.reached],
        "routes": [
            {
                "route": step.route.id,
                "line": step.route.line or None,
                "reached": step.reached,
                "why": step.why,
            }
            for step in found.steps
        ],
        "decisions": [_decision(record, found.fingerprint) for record in found.decisions],
        "attempts": [{**row, "at": iso(float(row["at"]))} for row in found.attempts],
    }


def told(found: Story) -> None:
    """Print the story for a person."""
    output.facts({"id": found.fingerprint, **found.labels})
    click.echo()
    for one in found.standing:
        _print_standing(one)
    if not found.standing:
        click.echo("It is over: no group holds it any more.")
    click.echo("\nWhere it goes now:")
    for step in found.steps:
        if step.reached:
            where = f"line {step.route.line}" if step.route.line else "the default routes"
            click.echo(f"  {step.route.options.receiver}: {step.route.id} ({where}): {step.why}")
    click.echo("\nWhat was decided:")
    if found.decisions:
        output.table(DECIDED, [_decided(one, found) for one in found.decisions])
    else:
        click.echo("  nothing yet: its group waits for its first flush, or it is long over")
    if found.attempts:
        click.echo("\nWhat its groups' deliveries met:")
        output.table(TRIED, [_tried(row, found.now) for row in found.attempts])


def _print_standing(one: Standing) -> None:
    group = one.row.group
    by = {
        "firing": "fires",
        "resolved": "is over",
        "silenced": f"fires, silenced by {one.silenced_by}",
        "acknowledged": f"fires, taken on by {one.taken.author if one.taken else ''}",
    }[one.state]
    click.echo(f"It {by}, since {stamp(one.row.alert.starts_at, one.now)},")
    click.echo(f"  in group {group.key} for {group.receiver}")
    click.echo(f"  whose next flush is {stamp(group.next_at, one.now)}.")
    for target, at in told_of(one.row).items():
        click.echo(f"  {target} was told {stamp(at, one.now)}.")


def _seen(record: Record, fingerprint: str) -> Seen:
    return next(seen for seen in record.alerts if seen.fingerprint == fingerprint)


def _reason(record: Record, fingerprint: str) -> str:
    """Return in words what led to a decision, as far as it concerns this alert."""
    seen = _seen(record, fingerprint)
    state = "over" if seen.resolved else "firing"
    parts = [f"it was {state}", record.why, *record.reasons, seen.reason]
    return ", ".join(part for part in parts if part)


def _decided(record: Record, found: Story) -> tuple[str, ...]:
    return (
        stamp(record.at, found.now),
        record.receiver,
        record.integration,
        record.decision.value,
        _reason(record, found.fingerprint),
    )


def _decision(record: Record, fingerprint: str) -> dict[str, Any]:
    seen = _seen(record, fingerprint)
    return {
        "at": iso(record.at),
        "group": {"id": record.gid, "key": record.group_key},
        "route": record.route,
        "receiver": record.receiver,
        "integration": record.integration or None,
        "decision": record.decision.value,
        "why": record.why or None,
        "reasons": list(record.reasons),
        "alert": {"resolved": seen.resolved, "held_back": seen.reason or None},
        "with": len(record.alerts) - 1,
    }


def _tried(row: Mapping[str, str], now: float) -> tuple[str, ...]:
    return (
        stamp(float(row["at"]), now), row["target"], row["status"], row["attempt"],
        row["outcome"], row["reason"], row["detail"], row["ms"],
    )  # fmt: skip
