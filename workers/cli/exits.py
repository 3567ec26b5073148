"""How the command ends: its exit codes, and the one error that a person gets to read."""

from __future__ import annotations

from enum import IntEnum

import click


class ExitCode(IntEnum):
    """What a script may branch on; documented in the README."""

    OK = 0
    NEGATIVE = 1
    """Nothing matched, or the answer is no."""
    USAGE = 2
    """The command line or the settings are wrong; nothing was done."""
    REDIS = 3
    """Redis could not be reached, or refused."""
    UNREACHABLE = 4
    """The URL gave no answer."""
    PARTLY = 5
    """Some of what was asked for was done, some was not."""


class Trouble(click.ClickException):
    """What went wrong, where, and how to mend it; printed without a traceback.

    Trouble
    ├── Nothing       nothing goes by that name
    ├── Misuse        the command line or the settings are wrong
    ├── RedisTrouble  Redis cannot be reached, or refuses
    └── Unreachable   the URL gave no answer
    """


class Nothing(Trouble):
    """Nothing goes by that name."""

    exit_code = ExitCode.NEGATIVE


class Misuse(Trouble):
    """The command line or the settings are wrong; nothing was done."""

    exit_code = ExitCode.USAGE


class RedisTrouble(Trouble):
    """Redis cannot be reached, or refuses."""

    exit_code = ExitCode.REDIS


class Unreachable(Trouble):
    """The URL gave no answer."""

    exit_code = ExitCode.UNREACHABLE
