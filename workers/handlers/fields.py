"""Tolerant reading of the fields that the sender does not document.

A field that is absent or of another type than looked for is `unknown` (text) or None; nothing
here ever raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from workers.reading import (
    LABEL_CHARS,
    TEXT_CHARS,
    UNKNOWN,
    clean,
    flag,
    moment,
    number,
    span,
    utc,
    written,
)

__all__ = ["LABEL_CHARS", "TEXT_CHARS", "UNKNOWN", "Fields", "clean", "span", "utc"]


class Fields(NamedTuple):
    """The fields of one object of an event, by the names they may have."""

    data: Mapping[str, Any]

    def text(self, *names: str, limit: int = LABEL_CHARS, absent: str = UNKNOWN) -> str:
        """Return the first non-empty text or number under one of `names`, cleaned."""
        for name in names:
            found = written(self.data.get(name))
            if found and (cleaned := clean(found, limit)):
                return cleaned
        return absent

    def number(self, *names: str) -> float | None:
        """Return the first finite number under one of `names`; numeric text counts."""
        return next((n for name in names if (n := number(self.data.get(name))) is not None), None)

    def flag(self, *names: str) -> bool | None:
        """Return the first truth value under one of `names`: true, false, their text, 1 or 0."""
        return next((f for name in names if (f := flag(self.data.get(name))) is not None), None)

    def time(self, *names: str) -> float | None:
        """Return the first moment under one of `names` in Unix seconds.

        ISO 8601 text (without an offset it is UTC), Unix seconds and Unix milliseconds count.
        """
        return next((t for name in names if (t := moment(self.data.get(name))) is not None), None)

    def within(self, name: str) -> Fields:
        """Return the fields of the object under `name`; none if there is no object."""
        inner = self.data.get(name)
        return Fields(inner if isinstance(inner, Mapping) else {})
