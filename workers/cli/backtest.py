"""`synap-hooks backtest`: what another configuration would have told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from workers.alerting.backtest import Change, Life, Moved, changes, lives, moved, play
from workers.alerting.drill import ALERTNAME
from workers.alerting.history import AlertHistory
from workers.cli import output, selection
from workers.cli.configuration import routed
from workers.cli.exits import ExitCode
from workers.cli.output import iso
from workers.cli.selection import Duration
from workers.cli.session import World, opened

HEAD: Final = ("RECEIVER", "WOULD", "PAGES NOW", "THEN", "MESSAGES NOW", "THEN")
MOVED: Final = ("ALERT", "ALERTS", "GOES NOW TO", "WOULD GO TO")
WEEK: Final = 7 * 86_400.0


@click.command()
@click.option("--config", "file", metavar="FILE", required=True, help="The new configuration.")
@click.option(
    "--since", type=Duration(), default=WEEK, help="Alerts of the last 2h, 3d.  [default: 7d]"
)
@selection.json_option
@click.pass_obj
def backtest(world: World, file: str, since: float, *, as_json: bool) -> None:
    """Play recorded alerts through another configuration.

    Says who would have been paged more, less or differently than with the workers' own. Both are
    played, with the same alerts, groups, timers, inhibition and hours; silences are left out. A
    page is a message that opens a trouble; a message is any. Nothing is sent.
    """
    before, after = routed(world, None).alerting, routed(world, file).alerting
    with opened(world) as session:
        history = AlertHistory(session.redis, session.keys.prefix)
        newest = history.newest(since=session.now - since)
        known = [
            life
            for life in lives(reversed(list(newest)), until=session.now)
            if life.labels.get("alertname") != ALERTNAME
        ]
        now = session.now
    told = [play(config, known, until=now) for config in (before, after)]
    _report(known, changes(*told), moved(before, after, known), since=now - since, as_json=as_json)
    if not known:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


def _report(
    known: Sequence[Life],
    found: Sequence[Change],
    elsewhere: Sequence[Moved],
    *,
    since: float,
    as_json: bool,
) -> None:
    if as_json:
        output.document(
            {
                "since": iso(since),
                "alerts": len(known),
                "receivers": [_change(one) for one in found],
                "moved": [one._asdict() for one in elsewhere],
            }
        )
        return
    if not known:
        click.echo(f"no alerts are recorded since {iso(since)}")
        return
    click.echo(f"{len(known)} times an alert fired since {iso(since)}\n")
    output.table(HEAD, [_cells(one) for one in found])
    click.echo()
    if elsewhere:
        rows = [
            (one.alertname, str(one.alerts), ", ".join(one.before), ", ".join(one.after))
            for one in elsewhere
        ]
        output.table(MOVED, rows)
    else:
        click.echo("every alert goes to the receivers to which it goes now")


def verdict(one: Change) -> str:
    """Return in a word what would change for a receiver."""
    if one.opened_after != one.opened_before:
        return "page more" if one.opened_after > one.opened_before else "page less"
    if one.after != one.before:
        return "say more" if one.after > one.before else "say less"
    return "be the same"


def _change(one: Change) -> dict[str, Any]:
    return {
        "receiver": one.receiver,
        "would": verdict(one),
        "pages": {"before": one.opened_before, "after": one.opened_after},
        "messages": {"before": one.before, "after": one.after},
    }


def _cells(one: Change) -> tuple[str, ...]:
    return (
        one.receiver, verdict(one), str(one.opened_before), str(one.opened_after),
        str(one.before), str(one.after),
    )  # fmt: skip
