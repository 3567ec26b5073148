"""`synap-hooks settings`: what the environment resolves to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from receiver.settings import CommonSettings, ReceiverSettings, masked
from workers.cli import output, selection
from workers.cli.session import World, settings_of
from workers.settings import WorkerSettings

ROLES: Final[Mapping[str, type[CommonSettings]]] = {
    "receiver": ReceiverSettings,
    "workers": WorkerSettings,
}


@click.group()
def settings() -> None:
    """Look at the settings."""


@settings.command("print")
@click.option("--role", type=click.Choice(list(ROLES)), default="workers", show_default=True)
@selection.json_option
@click.pass_obj
def print_settings(world: World, role: str, *, as_json: bool) -> None:
    """Print the settings of a role.

    Each as it was resolved, secrets as ***; or every problem at once.
    """
    values = masked(settings_of(ROLES[role], world.environ))
    if as_json:
        output.document({"role": role, "settings": values})
    else:
        output.facts(values)
