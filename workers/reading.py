"""Tolerant reading of single values that strangers wrote.

Text from outside is data: it is bounded, loses its control and direction characters, and what
looks like a credential is masked, wherever it stands. Nothing here ever raises.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

UNKNOWN: Final = "unknown"
LABEL_CHARS: Final = 128
TEXT_CHARS: Final = 300

_INVISIBLE: Final = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # control
    "\xad\u180e\u200b-\u200d\u2060-\u2064\ufe00-\ufe0f\ufeff"  # no width
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufff9-\ufffb"  # direction, annotation
    "\U000e0000-\U000e0fff"  # tags
    "\ud800-\udfff"  # halves of characters
    "]"
)
_CREDENTIAL: Final = re.compile(r"(synap_)[A-Za-z0-9_-]{8,}|(bearer )[^\s\"',;]+", re.IGNORECASE)
_MAX_SECONDS: Final = 253_402_300_799.0  # 9999-12-31, the last day that datetime can write
_MILLISECONDS_FROM: Final = 100_000_000_000.0  # as seconds: the year 5138
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def clean(text: str, limit: int = TEXT_CHARS) -> str:
    """Return `text` on one line, visible, without credentials, in at most `limit` characters."""
    # One event says the same thing several times, and a storm says it in every event.
    return _remembered(text, limit) if len(text) <= LABEL_CHARS else _clean(text, limit)


@lru_cache(maxsize=4096)
def _remembered(text: str, limit: int) -> str:
    return _clean(text, limit)


def _clean(text: str, limit: int) -> str:
    # Nearly every text is plain: what is slow is only done where there is something to do.
    visible = text if text.isascii() and text.isprintable() else _INVISIBLE.sub("", text)
    line = " ".join(visible.split())
    folded = line.casefold()
    if "synap_" in folded or "bearer " in folded:
        line = _CREDENTIAL.sub(lambda found: f"{found[1] or found[2]}***", line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def utc(moment: float) -> str:
    """Write Unix seconds as a person reads them: `2026-01-31 09:30 UTC`."""
    shown = min(max(moment, 0.0), _MAX_SECONDS)
    return datetime.fromtimestamp(shown, UTC).strftime("%Y-%m-%d %H:%M UTC")


def span(seconds: float) -> str:
    """Write a length of time in its largest fitting unit: `3 days`, `5 h`, `12 min`."""
    if seconds >= 2 * 86400:
        return f"{int(seconds // 86400)} days"
    if seconds >= 2 * 3600:
        return f"{int(seconds // 3600)} h"
    return f"{max(int(seconds // 60), 0)} min"


def written(value: object) -> str:
    """Return a text or a number as text; empty for anything else."""
    if isinstance(value, str):
        return value
    found = None if isinstance(value, bool) else number(value)
    if found is None:
        return ""
    return str(int(found)) if found.is_integer() and abs(found) < 2**63 else str(found)


def number(value: object) -> float | None:
    """Return a finite number; numeric text counts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > LABEL_CHARS:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def flag(value: object) -> bool | None:
    """Return a truth value: true, false, their text, 1 or 0."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    return bool(value) if isinstance(value, bool) or value in (0, 1) else None


def moment(value: object) -> float | None:
    """Return Unix seconds from ISO 8601 text (without an offset it is UTC), seconds or ms."""
    found = number(value)
    if found is not None:
        seconds = found / 1000 if found >= _MILLISECONDS_FROM else found
        return seconds if 0 < seconds <= _MAX_SECONDS else None
    if not isinstance(value, str) or len(value) > LABEL_CHARS:
        return None
    try:
        when = datetime.fromisoformat(value.strip())
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= _MAX_SECONDS else None
