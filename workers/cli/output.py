"""What a command prints: tables and facts for people, one JSON document for programs.

Everything that came from outside is cleaned before a terminal gets to see it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
import orjson

from workers.handlers.fields import clean

GAP: Final = "  "
LEAST_WIDTH: Final = 8
CELL_CHARS: Final = 200
ABSENT: Final = "-"

_AGES: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def document(shape: Mapping[str, Any]) -> None:
    """Print one JSON document."""
    text = orjson.dumps(shape, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    click.echo(text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> None:
    """Print aligned columns, cut to the terminal's width; not cut when it goes elsewhere."""
    room = terminal_width() if width is None else width
    cells = [list(head), *([clean(cell, CELL_CHARS) or ABSENT for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    if room is not None:
        widths = fitted(widths, room - len(GAP) * (len(head) - 1))
    for row in cells:
        parts = (_cut(cell, size).ljust(size) for cell, size in zip(row, widths, strict=True))
        click.echo(GAP.join(parts).rstrip())


def facts(pairs: Mapping[str, str]) -> None:
    """Print names and values below each other; values are never cut to the terminal."""
    size = max(len(name) for name in pairs)
    for name, value in pairs.items():
        click.echo(f"{name.ljust(size)}{GAP}{clean(value, CELL_CHARS * 10) or ABSENT}")


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Return `widths` with the widest narrowed until they fit, each at least `LEAST_WIDTH`."""
    sizes = list(widths)
    while sum(sizes) > room and max(sizes) > LEAST_WIDTH:
        sizes[sizes.index(max(sizes))] -= 1
    return sizes


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None when the output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def iso(moment: float | None) -> str | None:
    """Write Unix seconds as ISO 8601 in UTC."""
    if moment is None:
        return None
    return datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")


def stamp(moment: float | None, now: float) -> str:
    """Write a moment as a person reads it: ISO 8601 in UTC, and how far it is from `now`."""
    if moment is None:
        return ABSENT
    away = age(abs(now - moment))
    return f"{iso(moment)} ({away} ago)" if moment <= now else f"{iso(moment)} (in {away})"


def age(seconds: float) -> str:
    """Write a length of time in its largest unit: `3d`, `2h`, `5m`, `12s`."""
    for unit, sign in _AGES:
        if seconds >= unit:
            return f"{int(seconds // unit)}{sign}"
    return f"{int(seconds)}s"


def payload(body: bytes) -> str:
    """Return a body for a terminal: JSON indented and in ASCII, else Python's escapes."""
    try:
        return json.dumps(orjson.loads(body), indent=2)
    except orjson.JSONDecodeError:
        return repr(body)[2:-1]


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
