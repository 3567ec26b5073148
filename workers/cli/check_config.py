"""`synap-hooks check-config`: is this file one that the workers would start with?"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import click

from workers import alerting
from workers.cli import output, selection
from workers.cli.configuration import loaded
from workers.cli.exits import ExitCode
from workers.cli.session import World
from workers.configuration import Configuration
from workers.section import DocumentError, Problem


@click.command("check-config")
@click.argument("file", required=False)
@click.option("--example", is_flag=True, help="Print a commented example to start from.")
@click.option("--strict", is_flag=True, help="Take warnings for problems.")
@selection.json_option
@click.pass_obj
def check_config(
    world: World, file: str | None, *, example: bool, strict: bool, as_json: bool
) -> None:
    """Check a configuration file.

    Prints every problem and every doubt with its line, and ends with 1 if there is a problem.
    Secrets are not looked for where the file says they are.
    """
    if example == (file is not None):
        raise click.UsageError("name one FILE, or ask for the --example")
    if file is None:
        click.echo(example_text(), nl=False)
        return
    try:
        config = loaded(world, file)
    except DocumentError as error:
        _report(file, error.found, (), None, as_json=as_json)
        raise click.exceptions.Exit(ExitCode.NEGATIVE) from None
    warnings = config.alerting.warnings
    _report(file, (), warnings, config, as_json=as_json)
    if strict and warnings:
        raise click.exceptions.Exit(ExitCode.NEGATIVE)


def example_text() -> str:
    """Return the commented example, as it is shipped."""
    return files(alerting).joinpath("example.yaml").read_text(encoding="utf-8")


def _report(
    file: str,
    problems: Sequence[Problem],
    warnings: Sequence[Problem],
    config: Configuration | None,
    *,
    as_json: bool,
) -> None:
    if as_json:
        output.document(
            {
                "file": file,
                "valid": config is not None,
                "problems": [_shape(found) for found in problems],
                "warnings": [_shape(found) for found in warnings],
            }
        )
        return
    for found in problems:
        click.echo(str(found))
    for found in warnings:
        click.echo(f"{found.file}:{found.line}: warning: {found.message}")
    click.echo(f"{file}: {_counted(problems, config)}")


def _counted(problems: Sequence[Problem], config: Configuration | None) -> str:
    if config is None:
        return f"not valid, {_number(len(problems), 'problem')}"
    routing = config.alerting
    parts = (
        _number(len(list(routing.route.walk())), "route"),
        _number(len(routing.receivers), "receiver"),
        _number(len(routing.inhibitor.rules), "inhibition rule"),
        _number(len(routing.intervals), "time interval"),
    )
    return f"valid: {', '.join(parts)}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _shape(found: Problem) -> dict[str, Any]:
    return {"line": found.line, "message": found.message}
