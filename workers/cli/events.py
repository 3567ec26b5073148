"""`synap-hooks events`: what came in and what became of it."""

from __future__ import annotations

from typing import Final

import click

from workers.cli import actions, event_view, selection
from workers.cli.actions import Chosen, Order
from workers.cli.exits import ExitCode, Nothing
from workers.cli.selection import ALL_STATES, Filter
from workers.cli.session import Session, World, opened
from workers.ledger.find import Room
from workers.ledger.listing import DEAD, DONE, IN_FLIGHT, EventRow

STATES: Final = click.Choice(ALL_STATES)
LEFT_ALONE: Final = "it changed meanwhile, is being worked on, or its body is gone"


@click.group()
def events() -> None:
    """Look at events, and run them again."""


@events.command("list")
@click.option("--state", "states", type=STATES, multiple=True, help="In this state.")
@selection.limit_option
@selection.json_option
@click.pass_obj
@selection.filters(types=True)
def list_events(
    world: World, states: tuple[str, ...], limit: int, *, as_json: bool, wanted: Filter
) -> None:
    """List events, newest first.

    In flight, dead, and the last ten thousand that were done; or those of --state.
    """
    list_in(world, states or ALL_STATES, wanted, limit=limit, as_json=as_json)


@events.command("show")
@click.argument("name", metavar="KEY|EVENT_ID")
@click.option("--endpoint", help="Whose event id it is.  [default: default]")
@click.option("--body", is_flag=True, help="Print the body that was received as well.")
@selection.json_option
@click.pass_obj
def show_event(world: World, name: str, endpoint: str | None, *, body: bool, as_json: bool) -> None:
    """Show one event.

    It goes by its id, its key, or the first digits of its key.
    """
    show_in(world, ALL_STATES, name, endpoint, body=body, as_json=as_json)


@events.command("replay")
@click.option("--state", "states", type=STATES, multiple=True, help="In this state.")
@click.pass_obj
@actions.orders(types=True)
def replay_events(world: World, asked: Order, states: tuple[str, ...]) -> None:
    """Run events again.

    Those that wait run now, dead ones live again, and done ones run once more while their body
    is kept (a day). A filter alone means those that wait; --state names others.
    """
    replay_in(world, states, asked, default=IN_FLIGHT)


def list_in(
    world: World, states: tuple[str, ...], wanted: Filter, *, limit: int, as_json: bool
) -> None:
    """List the events in any of `states`; ends with NEGATIVE when there are none."""
    with opened(world) as session:
        rows, more = selection.bounded(selection.events(session, states, wanted), limit)
        event_view.listed(rows, more=more, now=session.now, as_json=as_json)
    if not rows:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


def show_in(
    world: World,
    states: tuple[str, ...],
    name: str,
    endpoint: str | None,
    *,
    body: bool,
    as_json: bool,
) -> None:
    """Show one event; it must be in one of `states` unless they are all."""
    with opened(world) as session:
        row = _found(session, name, endpoint)
        if states != ALL_STATES and row.state not in states:
            raise Nothing(f"{name} is {row.state}; see `synap-hooks events show {name}`")
        content = session.listing.body(row.key) if body else None
        event_view.shown(row, content, now=session.now, as_json=as_json)


def replay_in(world: World, states: tuple[str, ...], asked: Order, *, default: str) -> None:
    """Give the chosen events another life."""
    with opened(world) as session:
        chosen = choose(session, states, asked, default=default)
        operator = session.operator(asked.actor)

        def replay(key: str) -> str:
            actions.require(operator.replay([key], now=session.now), LEFT_ALONE)
            return "runs again"

        actions.carry_out("replay", asked, chosen, replay)


def choose(session: Session, states: tuple[str, ...], asked: Order, *, default: str) -> Chosen:
    """Return the events that an order means; named ones may be in any state unless given."""
    if asked.names:
        endpoint = next(iter(asked.wanted.endpoints), None)
        rows = [_found(session, name, endpoint) for name in asked.names]
        for name, row in zip(asked.names, rows, strict=True):
            if states and row.state not in states:
                raise Nothing(f"{name} is {row.state}, not {' or '.join(states)}")
        return Chosen(keys=list(dict.fromkeys(row.key for row in rows)))
    matching = selection.events(session, states or (default,), asked.wanted)
    ready = (row for row in matching if _replayable(row, session.now))
    rows, more = selection.bounded(ready, asked.limit)
    hint = "" if states else ": a filter alone means those that wait, --state names others"
    return Chosen(keys=[row.key for row in rows], more=more, hint=hint)


def _replayable(row: EventRow, now: float) -> bool:
    """Leave out what a worker has in hand, and what is settled and without a body."""
    if row.state == IN_FLIGHT:
        return row.next_at is not None and (row.leased_until or 0.0) <= now
    return row.state == DEAD or (row.state == DONE and row.event is not None)


def _found(session: Session, name: str, endpoint: str | None) -> EventRow:
    key = selection.resolve(session, name, endpoint, Room.EVENTS)
    row = session.listing.show(key)
    if row is None:
        raise Nothing(f"{name} was settled and forgotten just now")
    return row
