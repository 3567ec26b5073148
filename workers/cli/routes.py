"""`synap-hooks routes`: the tree, and where an alert would go, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from workers.alerting.config import AlertingConfig
from workers.alerting.intervals import held_back
from workers.alerting.matchers import text_of
from workers.alerting.route import Route
from workers.alerting.trace import Step, trace
from workers.cli import output, route_cases, selection
from workers.cli.configuration import routed
from workers.cli.exits import ExitCode
from workers.cli.selection import Moment
from workers.cli.session import World

SHOWN: Final = ("ROUTE", "RECEIVER", "GROUPED BY", "WAIT", "INTERVAL", "REPEAT", "ONLY", "LINE")
REACHED: Final = ("RECEIVER", "BY", "GROUP", "WAIT", "INTERVAL", "REPEAT", "NOW", "LINE")
ASKED: Final = ("ROUTE", "REACHED", "WHY", "LINE")


@click.group()
def routes() -> None:
    """Look at the routes, and try them."""


def config_option(command: selection.Command) -> selection.Command:
    """Add the file that is looked at instead of the workers' own."""
    option = click.option(
        "--config", "file", metavar="FILE", help="This file.  [default: SYNAP_CONFIG]"
    )
    return option(command)


@routes.command("show")
@config_option
@selection.json_option
@click.pass_obj
def show_routes(world: World, file: str | None, *, as_json: bool) -> None:
    """Show the tree of routes with everything that each inherits."""
    config = routed(world, file).alerting
    if as_json:
        output.document({"route": _tree(config.route)})
        return
    output.table(SHOWN, [_row(route, depth) for route, depth in _walk(config.route)])


@routes.command("test")
@click.argument("labels", metavar="LABEL=VALUE...", nargs=-1)
@click.option("--cases", metavar="FILE", help="Try the cases of a file; end with 1 on a mismatch.")
@click.option("--at", type=Moment(), help="When it would be.  [default: now]")
@config_option
@selection.json_option
@click.pass_obj
def check_routes(
    world: World,
    labels: tuple[str, ...],
    cases: str | None,
    at: float | None,
    file: str | None,
    *,
    as_json: bool,
) -> None:
    """Say which receivers an alert with these labels reaches.

    In order, and why; or try many alerts from a file of cases.
    """
    if bool(labels) == (cases is not None):
        raise click.UsageError("give labels, such as severity=critical, or --cases FILE")
    config = routed(world, file).alerting
    if cases is not None:
        if not route_cases.tried(config.route, cases, as_json=as_json):
            raise click.exceptions.Exit(ExitCode.NEGATIVE)
        return
    found = _labels(labels)
    if as_json:
        reached = config.route.match(found)
        output.document({"receivers": [route.options.receiver for route in reached]})
        return
    _explain(config, found, world.clock() if at is None else at)


def _labels(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{text!r} is no label: write name=value")
        if name in found:
            raise click.UsageError(f"the label {name} is given twice")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def _explain(config: AlertingConfig, labels: Mapping[str, str], now: float) -> None:
    steps = trace(config.route, labels)
    reached = [step.route for step in steps if step.reached]
    output.table(REACHED, [_reached(config, route, labels, now) for route in reached])
    click.echo()
    output.table(ASKED, [_asked(step) for step in steps])


def _reached(
    config: AlertingConfig, route: Route, labels: Mapping[str, str], now: float
) -> tuple[str, ...]:
    options = route.options
    receiver = config.receivers[options.receiver]
    silent = held_back(
        config.intervals, route.active_time_intervals, route.mute_time_intervals, now
    )
    outside = "outside " if silent == route.active_time_intervals else ""
    return (
        options.receiver,
        " ".join(one.name for one in receiver.integrations) or "nobody",
        text_of_labels(route.group_labels(labels)),
        *_timers(route),
        f"silent: {outside}{', '.join(silent)}" if silent else "heard",
        str(route.line or ""),
    )


def text_of_labels(labels: Mapping[str, str]) -> str:
    """Return labels as a person reads them: `alertname=Burst instance_id=inst_1`."""
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "all together"


def _asked(step: Step) -> tuple[str, ...]:
    line = str(step.route.line or "")
    return _indented(step.route, step.depth), "yes" if step.reached else "no", step.why, line


def _walk(route: Route, depth: int = 0) -> Iterator[tuple[Route, int]]:
    yield route, depth
    for child in route.routes:
        yield from _walk(child, depth + 1)


def _row(route: Route, depth: int) -> tuple[str, ...]:
    return (
        _indented(route, depth),
        route.options.receiver,
        _grouped(route),
        *_timers(route),
        _only(route),
        str(route.line or ""),
    )


def _indented(route: Route, depth: int) -> str:
    """Return the route's matchers under its parents'; a table's cells keep no leading blanks."""
    stem = f"{'--' * depth} " if depth else ""
    return f"{stem}{text_of(route.matchers)}{' (continue)' if route.goes_on else ''}"


def _grouped(route: Route) -> str:
    options = route.options
    return (
        "every label" if options.group_by_all else " ".join(sorted(options.group_by)) or "nothing"
    )


def _timers(route: Route) -> tuple[str, str, str]:
    options = route.options
    return (
        spell(options.group_wait),
        spell(options.group_interval),
        spell(options.repeat_interval),
    )


def spell(seconds: float) -> str:
    """Write a duration as a configuration does: `1d`, `90m`, `0s`, `500ms`."""
    for unit, sign in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= unit and seconds % unit == 0:
            return f"{int(seconds // unit)}{sign}"
    return f"{round(seconds * 1000)}ms" if seconds else "0s"


def _only(route: Route) -> str:
    parts = [f"in {name}" for name in route.active_time_intervals]
    return ", ".join([*parts, *(f"not in {name}" for name in route.mute_time_intervals)])


def _tree(route: Route) -> dict[str, Any]:
    options = route.options
    return {
        "receiver": options.receiver,
        "matchers": [str(matcher) for matcher in route.matchers],
        "continue": route.goes_on,
        "group_by": ["..."] if options.group_by_all else sorted(options.group_by),
        "group_wait": options.group_wait,
        "group_interval": options.group_interval,
        "repeat_interval": options.repeat_interval,
        "labels": dict(options.labels),
        "active_time_intervals": list(route.active_time_intervals),
        "mute_time_intervals": list(route.mute_time_intervals),
        "line": route.line or None,
        "routes": [_tree(child) for child in route.routes],
    }
