"""A page of 100 columns; colour on a terminal only, and never against NO_COLOR."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping

WIDTH = 100
LABEL = 12

CODES: Mapping[str, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}


def coloured() -> bool:
    """Say whether colour is wanted: on a terminal, unless NO_COLOR is set or it is dumb."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def paint(text: str, *styles: str) -> str:
    """Return `text` in colour, if colour is wanted."""
    if not styles or not coloured():
        return text
    return f"\x1b[{';'.join(CODES[style] for style in styles)}m{text}\x1b[0m"


def say(text: str = "") -> None:
    """Print one line at once."""
    print(text, flush=True)


def rule(title: str, number: int | None = None) -> None:
    """Print a heading with a rule to the edge of the page."""
    head = title if number is None else f"{number}  {title}"
    line = "─" * max(0, WIDTH - len(head) - 1)
    say(f"\n{paint(head, 'bold')} {paint(line, 'dim')}")


def field(label: str, text: str, *styles: str) -> None:
    """Print a labelled text, wrapped under itself."""
    lines = textwrap.wrap(text, WIDTH - LABEL - 3) or [""]
    for number, line in enumerate(lines):
        name = label if number == 0 else ""
        say(f"   {paint(name.ljust(LABEL), 'dim')}{paint(line, *styles)}")
