"""Rules of a team's own, as data: a field, an operator, a value, a severity, a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import re2  # type: ignore[import-untyped]

from workers.severity import Severity
from workers.synap.difference import shown
from workers.synap.guard import Case, Options, Rule, Unchecked, Verdict
from workers.synap.schema import SPELLINGS

ITEM: Final = "a rule of your own (guard.own)"
WHY: Final = "Your team decided so."
FIX: Final = "Correct the field, or roll back."

_MISSING: Final = object()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool | None]:
    def ordered(found: Any, wanted: Any) -> bool | None:
        left, right = _number(found), _number(wanted)
        return None if left is None or right is None else compare(left, right)

    return ordered


def _equal(found: Any, wanted: Any) -> bool:
    return (type(found) is type(wanted) and bool(found == wanted)) or (
        _number(found) is not None and _number(found) == _number(wanted)
    )


def _matches(found: Any, wanted: Any) -> bool | None:
    return bool(wanted.search(found)) if isinstance(found, str) else None


def _contains(found: Any, wanted: Any) -> bool | None:
    return any(_equal(one, wanted) for one in found) if isinstance(found, list) else None


OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool | None]]] = {
    "==": _equal,
    "!=": lambda found, wanted: not _equal(found, wanted),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": lambda found, wanted: any(_equal(found, one) for one in wanted),
    "not in": lambda found, wanted: not any(_equal(found, one) for one in wanted),
    "contains": _contains,
    "matches": _matches,
    "absent": lambda found, _: found is _MISSING,
    "present": lambda found, _: found is not _MISSING,
}
"""A rule fires where its operator holds; None means that the two cannot be compared."""

UNARY: Final = frozenset({"absent", "present"})
LISTS: Final = frozenset({"in", "not in"})
"""Operators whose value is a list."""

ORDERED: Final = frozenset({"<", "<=", ">", ">="})


def own_rule(
    *, name: str, path: str, operator: str, value: Any, severity: Severity, text: str
) -> Rule:
    """Return a rule that fires where `operator` holds between the field at `path` and `value`.

    Raises:
        ValueError: `value` does not fit the operator; the message says what would.
    """
    wanted = _fitting(operator, value)
    compare = OPERATORS[operator]
    canonical = SPELLINGS.get(path, path)

    def check(case: Case, _: Options) -> Verdict:
        found = case.fields.every().get(canonical, _MISSING)
        if found is _MISSING and operator not in UNARY:
            return None
        holds = compare(found, wanted)
        if holds is None:
            return Unchecked(f"{canonical} cannot be compared by {operator}")
        if not holds:
            return None
        actual = "absent" if found is _MISSING else shown(canonical, found)
        return f"{text} ({canonical} is {actual})"

    return Rule(name=name, severity=severity, why=WHY, item=ITEM, fix=FIX, check=check)


def _fitting(operator: str, value: Any) -> Any:
    if operator in ORDERED and _number(value) is None:
        raise ValueError(f"{operator} needs a number")
    if operator != "matches":
        return value
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(str(value), options)
    except re2.error:
        raise ValueError("not a regular expression of RE2") from None
