"""`synap-hooks deliveries`: what is on its way to targets, and what never arrived."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from workers.alerting.listing import AlertListing, DeliveryRow
from workers.alerting.operations import Operations, Replay
from workers.cli import actions, output, selection
from workers.cli.actions import Chosen, Skipped
from workers.cli.configuration import routed
from workers.cli.exits import ExitCode, Nothing
from workers.cli.output import iso, stamp
from workers.cli.selection import Duration, Filter
from workers.cli.session import Session, World, opened

HEAD: Final = ("STATE", "TARGET", "STATUS", "WHAT", "TRIES", "NEXT", "SINCE", "REASON", "ID")
SHORT: Final = 12
STATES: Final = ("waiting", "trying", "dead")
LEFT_ALONE: Final = {
    Replay.GONE: "it is no dead letter any more",
    Replay.SUPERSEDED: "newer news of its group are on their way",
    Replay.OVER: "its group is over; --force tells of it all the same",
}


@click.group()
def deliveries() -> None:
    """Look at notifications under way, and try again what failed."""


def _filters(command: selection.Command) -> selection.Command:
    for option in (
        click.option("--older-than", type=Duration(), help="In its state for at least 10m, 2h."),
        click.option("--reason", "reasons", multiple=True, help="With this reason; * and ? match."),
        click.option("--target", "targets", multiple=True, help="To this target; * and ? match."),
    ):
        command = option(command)
    return command


@deliveries.command("list")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="In this state.")
@_filters
@selection.limit_option
@selection.json_option
@click.pass_obj
def list_deliveries(
    world: World,
    *,
    states: tuple[str, ...],
    targets: tuple[str, ...],
    reasons: tuple[str, ...],
    older_than: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """List notifications: under way, then failed for good."""
    wanted = Filter(endpoints=targets, reasons=reasons, older_than=older_than)
    with opened(world) as session:
        listing = AlertListing(session.redis, session.keys.prefix)
        rows = [
            row
            for row in (*listing.deliveries(), *listing.dead())
            if (not states or row.state in states) and _holds(wanted, row, session.now)
        ]
        shown, more = rows[:limit], len(rows) > limit
        if as_json:
            output.document({"deliveries": [_shape(row) for row in shown], "more": more})
        elif shown:
            output.table(HEAD, [_cells(row, session.now) for row in shown])
            if more:
                click.echo(f"... and more than these {limit}: raise --limit or narrow the filter")
        else:
            click.echo("no deliveries")
    if not shown:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


@deliveries.command("replay")
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--force", is_flag=True, help="Also what is over meanwhile.")
@_filters
@actions.bulk_options
@click.pass_obj
def replay_deliveries(
    world: World,
    *,
    names: tuple[str, ...],
    targets: tuple[str, ...],
    reasons: tuple[str, ...],
    older_than: float | None,
    limit: int | None,
    force: bool,
    dry_run: bool,
    actor: str | None,
    as_json: bool,
) -> None:
    """Try again what failed for good.

    It has its whole time again. Left alone is what newer news of the same group stand in for,
    and what is over: an incident that is opened now would stay open; --force opens it.
    """
    if names and targets:
        raise click.UsageError("give either names or a filter, not both")
    wanted = Filter(endpoints=targets, reasons=reasons, older_than=older_than)
    asked = actions.order(
        world, names=names, wanted=wanted, limit=limit, dry_run=dry_run, actor=actor,
        as_json=as_json,
    )  # fmt: skip
    with opened(world) as session:
        chosen = _choose(session, names, wanted, asked.limit)
        operations = Operations(session.redis, session.keys.prefix)
        patience = routed(world, None).alerting.delivery_deadline

        def replay(letter: str) -> str:
            answer = operations.replay(letter, session.now, patience=patience, force=force)
            if answer is not Replay.REPLAYED:
                raise Skipped(LEFT_ALONE[answer])
            session.operator(asked.actor).note("replay-delivery", letter, now=session.now)
            return "is tried again"

        actions.carry_out("replay", asked, chosen, replay)


def _choose(session: Session, names: Sequence[str], wanted: Filter, limit: int) -> Chosen:
    rows = AlertListing(session.redis, session.keys.prefix).dead()
    if names:
        return Chosen(keys=list(dict.fromkeys(_one(rows, name).id for name in names)))
    matching = [row.id for row in rows if _holds(wanted, row, session.now)]
    return Chosen(keys=matching[:limit], more=len(matching) > limit)


def _one(rows: Sequence[DeliveryRow], name: str) -> DeliveryRow:
    found = [row for row in rows if row.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Nothing(f"{len(found)} dead deliveries begin with {name}; give more of it")
    raise Nothing(
        f"no dead delivery has the id {name}; `synap-hooks deliveries list --state dead` shows them"
    )


def _holds(wanted: Filter, row: DeliveryRow, now: float) -> bool:
    """Say whether a delivery passes; its target stands where an event has its endpoint."""
    aged = now - (row.created if row.died_at is None else row.died_at)
    return (
        (not wanted.endpoints or any(fnmatchcase(row.target, name) for name in wanted.endpoints))
        and (not wanted.reasons or any(fnmatchcase(row.reason, name) for name in wanted.reasons))
        and (wanted.older_than is None or aged >= wanted.older_than)
    )


def _shape(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "target": row.target,
        "status": row.status,
        "title": row.title,
        "why": row.why,
        "group": {"id": row.gid, "key": row.group_key},
        "attempts": row.attempts,
        "created": iso(row.created),
        "next_at": None if row.state == "dead" else iso(row.next_at),
        "deadline": iso(row.deadline),
        "died_at": iso(row.died_at),
        "reason": row.reason or None,
    }


def _cells(row: DeliveryRow, now: float) -> tuple[str, ...]:
    dead = row.died_at is not None
    return (
        row.state, row.target, row.status, row.title, str(row.attempts),
        "" if dead else stamp(row.next_at, now),
        stamp(row.died_at if dead else row.created, now), row.reason, row.id[:SHORT],
    )  # fmt: skip
