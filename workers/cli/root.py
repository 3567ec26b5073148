"""The command itself: its groups, and how it is entered."""

from __future__ import annotations

import os
import time
from typing import Final

import click

from workers.cli.acl import acl
from workers.cli.alerts import alerts
from workers.cli.backtest import backtest
from workers.cli.check_config import check_config
from workers.cli.dead import dead
from workers.cli.deliveries import deliveries
from workers.cli.drill import drill_receiver
from workers.cli.events import events
from workers.cli.history import history
from workers.cli.maca import maca
from workers.cli.quarantine import quarantine
from workers.cli.rotation import rotation
from workers.cli.routes import routes
from workers.cli.send import send
from workers.cli.session import World
from workers.cli.settings import settings
from workers.cli.signing import sign, verify
from workers.cli.silence import silence

EPILOG = """\
Exit codes: 0 done; 1 nothing matched, or the answer is no; 2 the command line or the settings
are wrong; 3 Redis cannot be reached or refuses; 4 the URL gave no answer; 5 partly done.
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="synap-hooks", message="%(prog)s %(version)s")
def cli() -> None:
    """Operate the service that receives Synap's webhooks."""


COMMANDS: Final = (
    events, dead, quarantine, maca, alerts, silence, deliveries, routes, check_config, backtest,
    drill_receiver, history, sign, verify, send, settings, acl,
    rotation,
)  # fmt: skip
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Enter the command from a shell."""
    cli(obj=World(environ=os.environ, clock=time.time), prog_name="synap-hooks")
