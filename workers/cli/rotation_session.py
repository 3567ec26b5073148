"""What the commands of rotation share: rotation as a shell has it, orders, refusals, names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

import click
from prometheus_client import CollectorRegistry

from workers.cli import output, selection
from workers.cli.exits import ExitCode, Misuse, Nothing
from workers.cli.selection import Command
from workers.cli.session import World, opened
from workers.configuration import rotation_section
from workers.ledger.transitions import Ledger
from workers.metrics import WorkerMetrics
from workers.reading import clean
from workers.rotation.assembly import Rotations, assemble
from workers.rotation.book import rotate_lua
from workers.rotation.errors import OrderError
from workers.rotation.fingerprint import Secret
from workers.rotation.record import Rotation
from workers.section import DocumentError

ACTOR_CHARS: Final = 64
WHY_CHARS: Final = 200
LEAST_PREFIX: Final = 4
KEY_CHARS: Final = 4_096
LOOKED_AT: Final = 1_000


def ordered(command: Command) -> Command:
    """Add what every order takes; it gets them as `world`, `actor`, `why` and `as_json`."""

    @wraps(command)
    def check(world: World, actor: str | None, why: str, **given: Any) -> None:
        person = clean(actor if actor is not None else world.environ.get("USER", ""), ACTOR_CHARS)
        if not person:
            raise click.UsageError("nobody is named for the history: add --actor NAME")
        command(world, actor=person, why=clean(why, WHY_CHARS), **given)

    checked: Command = check
    for option in (
        click.option("--actor", help="Who orders it, for the history.  [default: $USER]"),
        click.option("--why", default="", help="The reason, for the history."),
        selection.json_option,
    ):
        checked = option(checked)
    return checked


def read_key() -> Secret:
    """Read one line; a terminal does not show what is typed."""
    if sys.stdin.isatty():
        return Secret(click.prompt("New key", hide_input=True, err=True).strip())
    text = sys.stdin.read(KEY_CHARS + 1).strip()
    if not text or len(text) > KEY_CHARS or len(text.split()) > 1:
        raise Misuse("standard input must hold the new key and nothing else")
    return Secret(text)


@contextmanager
def composed(world: World) -> Iterator[tuple[Rotations, float]]:
    """Yield rotation as a person's shell has it, and the moment in Unix seconds.

    Raises:
        Trouble: the settings or the configuration are wrong, or Redis cannot be reached.
    """
    with opened(world) as session:
        try:
            config = rotation_section(session.settings)
        except DocumentError as error:
            lines = "\n".join(f"  {problem}" for problem in error.problems)
            raise Misuse(f"the configuration is not valid:\n{lines}") from error
        settings, keys = session.settings, session.keys
        window = settings.dedup_window
        ledger = Ledger(session.redis, keys, dedup_window=window, fragments=[rotate_lua()])
        rotations = assemble(
            session.redis,
            keys,
            lambda: config,
            ledger=ledger,
            routing=None,
            metrics=WorkerMetrics(CollectorRegistry()),
            api_url=settings.api_url,
            clock=world.clock,
        )
        try:
            yield rotations, session.now
        finally:
            rotations.close()


@contextmanager
def refusing(*, as_json: bool) -> Iterator[None]:
    """Say why an order was refused, and end with 1."""
    try:
        yield
    except OrderError as error:
        if as_json:
            output.document({"refused": {"reason": error.reason, "message": str(error)}})
        else:
            click.echo(f"refused ({error.reason}): {error}", err=True)
        raise click.exceptions.Exit(ExitCode.NEGATIVE) from None


def found_by(rotations: Rotations, name: str) -> Rotation:
    """Return a rotation by the beginning of its id, or by its credential.

    Raises:
        Nothing: there is none, or more than one begins so.
    """
    book = rotations.book
    by_name = book.active(name) or next(
        (one for one in book.newest(LOOKED_AT) if one.credential == name), None
    )
    if by_name is not None:
        return by_name
    ids = book.find(name) if len(name) >= LEAST_PREFIX else []
    if len(ids) > 1:
        raise Nothing(f"{len(ids)} rotations begin with {name}: give more of the id")
    found = book.read(ids[0]) if ids else None
    if found is None:
        raise Nothing(f"no rotation goes by {clean(name, 64)!r}: see synap-hooks rotation list")
    return found
