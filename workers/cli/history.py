"""`synap-hooks history`: what operators did."""

from __future__ import annotations

from typing import Final

import click

from workers.cli import output, selection
from workers.cli.exits import ExitCode
from workers.cli.output import iso, stamp
from workers.cli.session import World, opened

HEAD: Final = ("AT", "ACTOR", "ACTION", "SUBJECT", "DETAIL")


@click.command()
@selection.limit_option
@selection.json_option
@click.pass_obj
def history(world: World, limit: int, *, as_json: bool) -> None:
    """List what operators did, newest first."""
    with opened(world) as session:
        rows = session.listing.history(limit)
    if as_json:
        shapes = [
            {
                "at": iso(row.at),
                "actor": row.actor,
                "action": row.action,
                "subject": row.subject,
                "detail": row.detail or None,
            }
            for row in rows
        ]
        output.document({"history": shapes})
    elif rows:
        cells = [(stamp(r.at, session.now), r.actor, r.action, r.subject, r.detail) for r in rows]
        output.table(HEAD, cells)
    else:
        click.echo("no history")
    if not rows:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)
