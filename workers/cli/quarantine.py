"""`synap-hooks quarantine`: authentic bodies that could not be processed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from workers.cli import actions, output, selection
from workers.cli.actions import Chosen, Order
from workers.cli.event_view import SHORT_KEY
from workers.cli.exits import ExitCode, Nothing
from workers.cli.output import iso, stamp
from workers.cli.selection import Filter
from workers.cli.session import Session, World, opened
from workers.ledger.find import Room
from workers.ledger.listing import QuarantineRow
from workers.ledger.operate import Operator

HEAD: Final = ("SINCE", "REASON", "ENDPOINT", "SIGNED WITH", "BYTES", "KEPT", "KEY")


@click.group()
def quarantine() -> None:
    """Look at quarantined bodies, release them or delete them."""


@quarantine.command("list")
@selection.limit_option
@selection.json_option
@click.pass_obj
@selection.filters(types=False)
def list_quarantine(world: World, limit: int, *, as_json: bool, wanted: Filter) -> None:
    """List quarantined bodies, newest first."""
    with opened(world) as session:
        found = selection.quarantined(session, wanted)
        rows, more = selection.bounded(found, limit)
        _listed(rows, more=more, now=session.now, as_json=as_json)
    if not rows:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


@quarantine.command("show")
@click.argument("name", metavar="KEY")
@click.option("--body", is_flag=True, help="Print what was kept of the body as well.")
@selection.json_option
@click.pass_obj
def show_quarantine(world: World, name: str, *, body: bool, as_json: bool) -> None:
    """Show one quarantined body.

    It goes by its key or the first digits of it.
    """
    with opened(world) as session:
        key = selection.resolve(session, name, None, Room.QUARANTINE)
        row = session.listing.quarantined(key)
        if row is None:
            raise Nothing(f"{name} has left quarantine just now")
        _shown(row, now=session.now, body=body, as_json=as_json)


@quarantine.command("release")
@click.pass_obj
@actions.orders(types=False)
def release_quarantine(world: World, asked: Order) -> None:
    """Accept quarantined bodies now.

    Whatever their age, they become events and are processed. One that conflicts with a known
    event becomes an event of its own.
    """

    def release(operator: Operator, key: str, now: float) -> str:
        released = operator.release([key], now=now)
        actions.require(released, "it has left quarantine meanwhile")
        return f"accepted as event {released[0]}"

    _act(world, "release", asked, release)


@quarantine.command("discard")
@click.pass_obj
@actions.orders(types=False)
def discard_quarantine(world: World, asked: Order) -> None:
    """Delete quarantined bodies."""

    def discard(operator: Operator, key: str, now: float) -> str:
        moved = operator.discard_quarantined([key], now=now)
        actions.require(moved, "it has left quarantine meanwhile")
        return "discarded"

    _act(world, "discard", asked, discard)


def _act(
    world: World, action: str, asked: Order, act: Callable[[Operator, str, float], str]
) -> None:
    with opened(world) as session:
        operator = session.operator(asked.actor)
        chosen = _choose(session, asked)
        actions.carry_out(action, asked, chosen, lambda key: act(operator, key, session.now))


def _choose(session: Session, asked: Order) -> Chosen:
    if asked.names:
        keys = [selection.resolve(session, name, None, Room.QUARANTINE) for name in asked.names]
        return Chosen(keys=list(dict.fromkeys(keys)))
    rows, more = selection.bounded(selection.quarantined(session, asked.wanted), asked.limit)
    return Chosen(keys=[row.key for row in rows], more=more)


def _listed(rows: list[QuarantineRow], *, more: bool, now: float, as_json: bool) -> None:
    if as_json:
        output.document({"quarantined": [_shape(row) for row in rows], "more": more})
        return
    if not rows:
        click.echo("nothing in quarantine")
        return
    output.table(HEAD, [_cells(row, now) for row in rows])
    if more:
        click.echo(f"... and more than these {len(rows)}: raise --limit or narrow the filter")


def _shown(row: QuarantineRow, *, now: float, body: bool, as_json: bool) -> None:
    if as_json:
        text = {"body": row.body.decode(errors="backslashreplace")} if body else {}
        output.document({"quarantined": _shape(row) | text})
        return
    pairs = {name: str(value) for name, value in _shape(row).items()}
    output.facts(pairs | {"since": stamp(row.at, now)})
    if body:
        click.echo()
        click.echo(output.payload(row.body))


def _shape(row: QuarantineRow) -> dict[str, Any]:
    return {
        "key": row.key,
        "reason": row.reason,
        "endpoint": row.endpoint,
        "signing_key": row.label,
        "size": row.size,
        "kept": "whole" if row.whole else "beginning",
        "digest": row.digest,
        "since": iso(row.at),
    }


def _cells(row: QuarantineRow, now: float) -> tuple[str, ...]:
    kept = "whole" if row.whole else "beginning"
    key = row.key[:SHORT_KEY]
    return (
        stamp(row.at, now), row.reason, row.endpoint, row.label, str(row.size), kept, key,
    )  # fmt: skip
