"""Tolerant reading of the fields that the sender does not document.

Text from events is data: it is bounded, loses its control and direction characters, and what
looks like a credential is masked, whichever field it stands in. A field that is absent or of
another type than looked for is `unknown` (text) or None; nothing here ever raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

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
_BLANK: Final = re.compile(r"\s+")
_CREDENTIAL: Final = re.compile(r"(synap_)[A-Za-z0-9_-]{8,}|(bearer )[^\s\"',;]+", re.IGNORECASE)
_MAX_SECONDS: Final = 253_402_300_799.0  # 9999-12-31, the last day that datetime can write
_MILLISECONDS_FROM: Final = 100_000_000_000.0  # as seconds: the year 5138


def clean(text: str, limit: int = TEXT_CHARS) -> str:
    """Return `text` on one line, visible, without credentials, in at most `limit` characters."""
    visible = _BLANK.sub(" ", _INVISIBLE.sub("", text)).strip()
    masked = _CREDENTIAL.sub(lambda found: f"{found[1] or found[2]}***", visible)
    return masked if len(masked) <= limit else masked[: limit - 1] + "…"


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


class Fields(NamedTuple):
    """The fields of one object of an event, by the names they may have."""

    data: Mapping[str, Any]

    def text(self, *names: str, limit: int = LABEL_CHARS, absent: str = UNKNOWN) -> str:
        """Return the first non-empty text or number under one of `names`, cleaned."""
        for name in names:
            found = _written(self.data.get(name))
            if found and (cleaned := clean(found, limit)):
                return cleaned
        return absent

    def number(self, *names: str) -> float | None:
        """Return the first finite number under one of `names`; numeric text counts."""
        return next((n for name in names if (n := _number(self.data.get(name))) is not None), None)

    def flag(self, *names: str) -> bool | None:
        """Return the first truth value under one of `names`: true, false, their text, 1 or 0."""
        return next((f for name in names if (f := _flag(self.data.get(name))) is not None), None)

    def time(self, *names: str) -> float | None:
        """Return the first moment under one of `names` in Unix seconds.

        ISO 8601 text (without an offset it is UTC), Unix seconds and Unix milliseconds count.
        """
        return next((t for name in names if (t := _time(self.data.get(name))) is not None), None)

    def within(self, name: str) -> Fields:
        """Return the fields of the object under `name`; none if there is no object."""
        inner = self.data.get(name)
        return Fields(inner if isinstance(inner, Mapping) else {})


def _written(value: object) -> str:
    if isinstance(value, str):
        return value
    number = None if isinstance(value, bool) else _number(value)
    if number is None:
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 2**63 else str(number)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > LABEL_CHARS:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _flag(value: object) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            value.strip().lower()
        )
    return bool(value) if isinstance(value, bool) or value in (0, 1) else None


def _time(value: object) -> float | None:
    number = _number(value)
    if number is not None:
        seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
        return seconds if 0 < seconds <= _MAX_SECONDS else None
    if not isinstance(value, str) or len(value) > LABEL_CHARS:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= _MAX_SECONDS else None
