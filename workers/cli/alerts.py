"""`synap-hooks alerts`: what fires, who took it on, and why somebody was told or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from workers.alerting.acknowledgements import AcknowledgementBook
from workers.alerting.operations import Operations
from workers.cli import actions, explanation, output, selection
from workers.cli.actions import Chosen, Order, Skipped
from workers.cli.alert_view import HEAD, STATES, Standing, cells, shape, standing
from workers.cli.exits import ExitCode, Nothing
from workers.cli.output import iso
from workers.cli.selection import Duration, Filter
from workers.cli.session import Session, World, opened
from workers.cli.silence import matchers_of


@click.group()
def alerts() -> None:
    """Look at alerts, take them on, ask who was told why."""


@alerts.command("list")
@click.argument("matchers", metavar="[MATCHER]...", nargs=-1)
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="In this state.")
@click.option("--receiver", "receivers", multiple=True, help="For this receiver.")
@selection.limit_option
@selection.json_option
@click.pass_obj
def list_alerts(
    world: World,
    matchers: tuple[str, ...],
    states: tuple[str, ...],
    receivers: tuple[str, ...],
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List alerts, newest first; those that all matchers match."""
    wanted = matchers_of(matchers)
    with opened(world) as session:
        found = [
            one
            for one in standing(session, wanted)
            if (not states or one.state in states)
            and (not receivers or one.row.group.receiver in receivers)
        ]
        found.sort(key=lambda one: (-one.row.alert.starts_at, one.row.alert.fingerprint))
        shown, more = found[:limit], len(found) > limit
        if as_json:
            output.document({"alerts": [shape(one) for one in shown], "more": more})
        elif shown:
            output.table(HEAD, [cells(one) for one in shown])
            if more:
                click.echo(f"... and more than these {limit}: raise --limit or narrow the filter")
        else:
            click.echo("no alerts")
    if not shown:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


@alerts.command("explain")
@click.argument("name", metavar="ID")
@click.option("--since", type=Duration(), help="Decisions of the last 2h, 3d.  [default: 14d]")
@selection.json_option
@click.pass_obj
def explain_alert(world: World, name: str, since: float | None, *, as_json: bool) -> None:
    """Say why somebody was told of an alert, or was not.

    The alert goes by its id as `alerts list` shows it, or the first digits of it; it need not
    fire any more.
    """
    with opened(world) as session:
        story = explanation.story(world, session, name, since=since)
        if as_json:
            output.document(explanation.shape(story))
        else:
            explanation.told(story)


@alerts.command("ack")
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.option("--for", "lasts", type=Duration(), help="Lapses after 30m, 2h.  [default: never]")
@click.option("--actor", help="Who takes it on.  [default: $USER]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
@selection.json_option
@click.pass_obj
def acknowledge(
    world: World,
    names: tuple[str, ...],
    lasts: float | None,
    actor: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take the groups of these alerts on.

    Nobody is told the same again until it is over, new trouble joins it, or the time has passed.
    Targets that know acknowledgements hear of it. IDs are those of alerts or of groups.
    """
    person = actions.person_of(world, actor, needed=not dry_run)
    with opened(world) as session:
        book = AcknowledgementBook(session.redis, session.keys.prefix)
        until = None if lasts is None else session.now + lasts

        def take(gid: str) -> str:
            if book.give(gid, author=person, until=until, now=session.now) is None:
                raise Skipped("it is over")
            Operations(session.redis, session.keys.prefix).poke(gid, session.now)
            session.operator(person).note("acknowledge", gid, now=session.now)
            return f"taken on by {person}" + (f" until {iso(until)}" if until else "")

        _act("acknowledge", session, names, take, dry_run=dry_run, person=person, as_json=as_json)


@alerts.command("unack")
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.option("--actor", help="Who gives it back.  [default: $USER]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
@selection.json_option
@click.pass_obj
def take_back(
    world: World, names: tuple[str, ...], actor: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """Give back what was taken on: its repeats are told again."""
    person = actions.person_of(world, actor, needed=not dry_run)
    with opened(world) as session:
        book = AcknowledgementBook(session.redis, session.keys.prefix)

        def give_back(gid: str) -> str:
            if not book.take_back(gid):
                raise Skipped("nobody has taken it on")
            session.operator(person).note("unacknowledge", gid, now=session.now)
            return "given back"

        _act(
            "unacknowledge",
            session,
            names,
            give_back,
            dry_run=dry_run,
            person=person,
            as_json=as_json,
        )


def _act(
    action: str,
    session: Session,
    names: tuple[str, ...],
    act: Callable[[str], str],
    *,
    dry_run: bool,
    person: str,
    as_json: bool,
) -> None:
    rows = list(standing(session))
    keys = list(dict.fromkeys(gid for name in names for gid in _groups(rows, name)))
    asked = Order(
        names=names, wanted=Filter(), limit=len(keys), dry_run=dry_run, actor=person,
        as_json=as_json,
    )  # fmt: skip
    actions.carry_out(action, asked, Chosen(keys=keys), act)


def _groups(rows: Sequence[Standing], name: str) -> list[str]:
    """Return the groups that a person means by the beginning of an alert's or a group's id."""
    by_group = {row.row.group.gid for row in rows if row.row.group.gid.startswith(name)}
    by_alert = [row for row in rows if row.row.alert.fingerprint.startswith(name)]
    if len(by_group) + len({row.row.alert.fingerprint for row in by_alert}) > 1:
        raise Nothing(f"several alerts or groups begin with {name}; give more of it")
    found = by_group | {row.row.group.gid for row in by_alert}
    if not found:
        raise Nothing(f"no alert or group has the id {name}; `synap-hooks alerts list` shows them")
    return sorted(found)
