"""Two configurations compared field by field, in words and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from workers.reading import clean
from workers.synap.schema import BY_PATH, FIELDS, TTL, Absence, Kind, Settings

VALUE_CHARS: Final = 80
NOWHERE: Final = "absent"
_JSON_INTEGERS: Final = 2**63


class Way(StrEnum):
    """What became of a field."""

    RAISED = "raised"
    LOWERED = "lowered"
    CHANGED = "changed"
    TURNED_ON = "turned on"
    TURNED_OFF = "turned off"
    ADDED = "added"
    REMOVED = "removed"


class _Missing(StrEnum):
    MISSING = NOWHERE


class Change(NamedTuple):
    """One field that differs; a value that is not there is None, and `way` tells which."""

    path: str
    before: Any
    after: Any
    way: Way

    @property
    def words(self) -> str:
        """The change as a person reads it."""
        field = BY_PATH.get(self.path)
        named = field.named if field else clean(self.path, VALUE_CHARS)
        if self.way in (Way.TURNED_ON, Way.TURNED_OFF):
            return f"{named} {self.way}"
        if self.way is Way.ADDED:
            return f"{named} added: {shown(self.path, self.after)}"
        if self.way is Way.REMOVED:
            return f"{named} removed, was {shown(self.path, self.before)}"
        unit = f" {field.unit}" if field and field.unit and self.after is not None else ""
        before, after = shown(self.path, self.before), shown(self.path, self.after)
        return f"{named} {self.way} from {before} to {after}{unit}"

    @property
    def machine(self) -> dict[str, Any]:
        """The change as a program reads it; values that are too long are cut."""
        return {
            "field": clean(self.path),
            "old": _bounded(self.before),
            "new": _bounded(self.after),
            "change": self.way.value,
            "documented": self.path in BY_PATH,
        }


def difference(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Return the fields that differ: documented ones in the order of the schema, then others."""
    before, after = old.every(), new.every()
    known = [field.path for field in FIELDS]
    others = sorted({*before, *after} - set(known))
    found = (_change(path, before, after) for path in (*known, *others))
    return tuple(change for change in found if change is not None)


def in_words(changes: Sequence[Change], *, most: int = 12) -> str:
    """Return changes as one sentence; those beyond `most` are counted."""
    if not changes:
        return "nothing"
    listed = "; ".join(change.words for change in changes[:most])
    rest = len(changes) - most
    return listed if rest <= 0 else f"{listed}; and {rest} more"


def shown(path: str, value: Any) -> str:
    """Return a field's value as a person reads it."""
    if value is None:
        return "unlimited" if path == TTL else "null"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str | int | float):
        return clean(str(value), VALUE_CHARS)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return clean(", ".join(value), VALUE_CHARS) or "none"
    return clean(_json(value), VALUE_CHARS)


def _change(path: str, before: dict[str, Any], after: dict[str, Any]) -> Change | None:
    old = before.get(path, _Missing.MISSING)
    new = after.get(path, _Missing.MISSING)
    if type(old) is type(new) and old == new:
        return None
    if old is _Missing.MISSING:
        return Change(path, None, new, Way.ADDED)
    if new is _Missing.MISSING:
        return Change(path, old, None, Way.REMOVED)
    if _both_numbers(old, new) and old == new:
        return None
    return Change(path, old, new, _way(path, old, new))


def _way(path: str, old: Any, new: Any) -> Way:
    field = BY_PATH.get(path)
    if isinstance(old, bool) and isinstance(new, bool):
        return Way.TURNED_ON if new else Way.TURNED_OFF
    if field is not None and field.kind in (Kind.WHOLE, Kind.NUMBER) and _both_numbers(old, new):
        return Way.RAISED if new > old else Way.LOWERED
    return Way.CHANGED


def _both_numbers(old: Any, new: Any) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new))


def _bounded(value: Any) -> Any:
    """Return a value as JSON can hold it, cut where it is long; texts are cleaned."""
    if isinstance(value, Absence):
        return None
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < _JSON_INTEGERS else float(value)
    if isinstance(value, str):
        return clean(value)
    text = clean(_json(value))
    try:
        return text if len(text) > VALUE_CHARS else orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return str(value)
