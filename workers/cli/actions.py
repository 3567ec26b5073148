"""Acting on many records at once: chosen, bounded, rehearsed, and told record by record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import click

from workers.cli import output, selection
from workers.cli.exits import ExitCode
from workers.cli.selection import MOST, Command, Filter
from workers.cli.session import World
from workers.handlers.fields import clean
from workers.ledger.operate import NotReleasableError

ACTOR_CHARS: Final = 64

_PARTS: Final = ("names", "wanted", "limit", "dry_run", "actor", "as_json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person asked for, checked: keys or a filter with its bound, and who asks."""

    names: tuple[str, ...]
    wanted: Filter
    limit: int
    dry_run: bool
    actor: str
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The records that an order came down to; `more` says that the bound left some out.

    `hint` is said when there are none.
    """

    keys: Sequence[str]
    more: bool = False
    hint: str = ""


class Skipped(Exception):  # noqa: N818 - an outcome of one record, not an error of the command
    """A record was left alone; carries why."""


def orders(*, types: bool) -> Callable[[Command], Command]:
    """Add what every bulk action takes to a command; it gets it checked as `asked`.

    With `types` the records are events, which have types and ids of their own.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def checked(world: World, **given: Any) -> None:
            parts = {name: given.pop(name) for name in _PARTS}
            command(world, asked=order(world, **parts), **given)

        shown = "[KEY|EVENT_ID]..." if types else "[KEY]..."
        names = click.argument("names", metavar=shown, nargs=-1)
        return selection.filters(types=types)(names(bulk_options(checked)))

    return add


def bulk_options(command: Command) -> Command:
    """Add `--actor`, `--dry-run`, `--limit` and `--json` to a command."""
    bound = click.IntRange(1, MOST)
    for option in (
        click.option("--actor", help="Who does it, for the history.  [default: $USER]"),
        click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing."),
        click.option("--limit", type=bound, help="At most so many; needed with a filter."),
        selection.json_option,
    ):
        command = option(command)
    return command


def order(
    world: World,
    *,
    names: tuple[str, ...],
    wanted: Filter,
    limit: int | None,
    dry_run: bool,
    actor: str | None,
    as_json: bool,
) -> Order:
    """Check what a person asked for.

    `--endpoint` beside names says whose event ids they are; it is then no filter.

    Raises:
        click.UsageError: neither names nor filter, both, no bound, or nobody who asks.
    """
    narrowed = wanted._replace(endpoints=()) if names else wanted
    if names and not narrowed.empty:
        raise click.UsageError("give either names or a filter, not both")
    if not names and wanted.empty:
        raise click.UsageError("give names, or a filter (--reason, --older-than, ...) and --limit")
    if not names and limit is None:
        raise click.UsageError("a filter needs a bound: add --limit N; try it with --dry-run")
    return Order(
        names=names,
        wanted=wanted,
        limit=limit or MOST,
        dry_run=dry_run,
        actor=person_of(world, actor, needed=not dry_run),
        as_json=as_json,
    )


def person_of(world: World, actor: str | None, *, needed: bool) -> str:
    """Return who acts, as the history names them.

    Raises:
        click.UsageError: nobody is named, and somebody is needed.
    """
    person = clean(actor if actor is not None else world.environ.get("USER", ""), ACTOR_CHARS)
    if needed and not person:
        raise click.UsageError("nobody is named for the history: add --actor NAME")
    return person


def carry_out(action: str, asked: Order, chosen: Chosen, act: Callable[[str], str]) -> None:
    """Act on each chosen record, print what became of each, and end with the fitting code.

    Args:
        action: the verb, as the documents and the history call it.
        asked: the checked order.
        chosen: the records.
        act: does it to one key and returns what to say of it; raises `Skipped` to leave it.
    """
    if not chosen.keys:
        _report(action, asked, chosen, [], [])
        raise click.exceptions.Exit(ExitCode.NEGATIVE)
    done: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    for key in () if asked.dry_run else chosen.keys:
        try:
            done.append((key, act(key)))
        except Skipped as left:
            skipped.append((key, str(left)))
        except NotReleasableError as left:
            why = f"the body cannot be read ({left.reason}); it can only be discarded"
            skipped.append((key, why))
    _report(action, asked, chosen, done, skipped)
    if skipped:
        raise click.exceptions.Exit(ExitCode.PARTLY if done else ExitCode.NEGATIVE)


def _report(
    action: str,
    asked: Order,
    chosen: Chosen,
    done: Sequence[tuple[str, str]],
    skipped: Sequence[tuple[str, str]],
) -> None:
    if asked.as_json:
        output.document(
            {
                "action": action,
                "dry_run": asked.dry_run,
                "actor": asked.actor,
                "matched": list(chosen.keys),
                "more": chosen.more,
                "done": [{"key": key, "result": result} for key, result in done],
                "skipped": [{"key": key, "why": why} for key, why in skipped],
            }
        )
        return
    if not chosen.keys:
        click.echo(f"nothing matches{chosen.hint}")
        return
    for key, result in (*done, *skipped):
        click.echo(f"{key[:12]}  {clean(result)}")
    for key in chosen.keys if asked.dry_run else ():
        click.echo(f"{key[:12]}  would be: {action}")
    _sum_up(action, asked, chosen, len(done), len(skipped))


def _sum_up(action: str, asked: Order, chosen: Chosen, done: int, skipped: int) -> None:
    if asked.dry_run:
        click.echo(f"dry run: {action} would act on {len(chosen.keys)}; nothing was done")
    else:
        click.echo(f"{action}: {done} done, {skipped} left alone")
    if chosen.more:
        click.echo(f"more match than --limit {asked.limit}: run it again for the rest")


def require(moved: Sequence[str], why: str) -> None:
    """Raise `Skipped` with `why` when an action moved nothing."""
    if not moved:
        raise Skipped(why)
