"""What the `maca` commands work with: Synap's API and what the guard remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import yaml

from workers.cli.configuration import loaded
from workers.cli.exits import ExitCode, Misuse, Nothing, Trouble, Unreachable
from workers.cli.session import Session, World, opened
from workers.configuration import Configuration as Document
from workers.handlers.fields import clean
from workers.outbound import Outbound
from workers.section import DocumentError
from workers.synap.answers import Configuration
from workers.synap.desk import Desk, compose
from workers.synap.errors import (
    ApiError,
    ConflictError,
    NotFoundError,
    TransientError,
    UnreadableError,
)
from workers.synap.schema import SECTIONS, Settings, settings_of

ACTIVE: Final = "active"
PATIENCE: Final = 60.0
"""Seconds within which a command's calls come to an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """An opened session with everything of Synap's; `deadline` is in Unix seconds."""

    session: Session
    desk: Desk
    document: Document
    deadline: float

    def configuration(self, instance_id: str, name: str) -> Configuration:
        """Return the version that a person means: `active` or an id."""
        if name == ACTIVE:
            return self.desk.client.active(instance_id, deadline=self.deadline)
        return self.desk.client.configuration(instance_id, name, deadline=self.deadline)


@contextmanager
def entered(world: World) -> Iterator[Room]:
    """Open the room that the environment describes.

    Raises:
        Trouble: the settings are wrong, Redis refuses, or Synap does.
    """
    try:
        document = loaded(world, None)
    except DocumentError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise Misuse(f"the configuration is not valid:\n{lines}") from error
    with opened(world) as session:
        outbound = Outbound()
        desk = compose(
            session.settings,
            session.redis,
            lambda: document.guard,
            lambda: document.api,
            outbound=outbound,
        )
        room = Room(
            session=session,
            desk=desk,
            document=document,
            deadline=world.clock() + PATIENCE,
        )
        try:
            yield room
        except ApiError as error:
            raise trouble(error) from error
        finally:
            outbound.close()


def trouble(error: ApiError) -> Trouble:
    """Return how the command ends for what Synap answered, or did not."""
    text = clean(str(error), 600)
    if isinstance(error, TransientError | UnreadableError):
        doubt = "; it may have been carried out: see synap-hooks maca show" * error.ambiguous
        return Unreachable(f"Synap: {text}{doubt}")
    if isinstance(error, NotFoundError | ConflictError):
        return Nothing(f"Synap: {text}")
    return Misuse(f"Synap: {text}")


def settings_in(path: str) -> Settings:
    """Return the settings that a YAML or JSON file describes; `config:` around them is allowed.

    Raises:
        Trouble: it cannot be read, or nothing of a configuration is in it.
    """
    try:
        found: Any = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{path}: {type(error).__name__}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Misuse(f"{path}: neither YAML nor JSON") from error
    inner = found.get("config", found) if isinstance(found, dict) else None
    if not isinstance(inner, dict) or not set(SECTIONS) & set(inner):
        raise Misuse(f"{path}: nothing of {', '.join(SECTIONS)} stands in it")
    return settings_of(inner)


def negative() -> click.exceptions.Exit:
    """Return the end of a command whose answer is no."""
    return click.exceptions.Exit(ExitCode.NEGATIVE)
