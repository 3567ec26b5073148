"""`synap-hooks dead`: events that could not be processed, kept until a person decides."""

from __future__ import annotations

import click

from workers.cli import actions, selection
from workers.cli.actions import Order
from workers.cli.events import choose, list_in, replay_in, show_in
from workers.cli.selection import Filter
from workers.cli.session import World, opened
from workers.ledger.listing import DEAD


@click.group()
def dead() -> None:
    """Look at dead letters, replay them or give them up."""


@dead.command("list")
@selection.limit_option
@selection.json_option
@click.pass_obj
@selection.filters(types=True)
def list_dead(world: World, limit: int, *, as_json: bool, wanted: Filter) -> None:
    """List dead letters, newest first."""
    list_in(world, (DEAD,), wanted, limit=limit, as_json=as_json)


@dead.command("show")
@click.argument("name", metavar="KEY|EVENT_ID")
@click.option("--endpoint", help="Whose event id it is.  [default: default]")
@click.option("--body", is_flag=True, help="Print the body that was received as well.")
@selection.json_option
@click.pass_obj
def show_dead(world: World, name: str, endpoint: str | None, *, body: bool, as_json: bool) -> None:
    """Show one dead letter.

    It goes by its id, its key, or the first digits of its key.
    """
    show_in(world, (DEAD,), name, endpoint, body=body, as_json=as_json)


@dead.command("replay")
@click.pass_obj
@actions.orders(types=True)
def replay_dead(world: World, asked: Order) -> None:
    """Give dead letters another life.

    They run at once and have all their attempts again.
    """
    replay_in(world, (DEAD,), asked, default=DEAD)


@dead.command("discard")
@click.pass_obj
@actions.orders(types=True)
def discard_dead(world: World, asked: Order) -> None:
    """Give dead letters up for good.

    Their bodies are deleted; the same event sent again is then a duplicate.
    """
    with opened(world) as session:
        chosen = choose(session, (DEAD,), asked, default=DEAD)
        operator = session.operator(asked.actor)

        def discard(key: str) -> str:
            moved = operator.discard_dead([key], now=session.now)
            actions.require(moved, "it is not dead any more")
            return "discarded"

        actions.carry_out("discard", asked, chosen, discard)
