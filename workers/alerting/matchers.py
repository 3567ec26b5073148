"""Matchers on labels: `=`, `!=`, `=~`, `!~` with RE2 regular expressions, linear in time.

A missing label equals the empty text. Regular expressions match the whole value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

import re2  # type: ignore[import-untyped]

_RESERVED: Final = frozenset("{}!=~,\\\"'`")
_LITERAL: Final = re.compile(r"[\w/:@ -]*", re.ASCII)


class Op(StrEnum):
    """How a matcher compares; declared in the order in which matchers are sorted."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


_ORDER: Final = {op: place for place, op in enumerate(Op)}


class MatcherError(ValueError):
    """The text is no matcher, or its regular expression is not one that RE2 accepts."""


class Matcher:
    """One comparison of one label; immutable, equal by name, operator and value."""

    __slots__ = ("name", "op", "test", "value")

    def __init__(self, name: str, op: Op, value: str) -> None:
        """Compile the comparison.

        Raises:
            MatcherError: RE2 does not accept the regular expression.
        """
        self.name = name
        self.op = op
        self.value = value
        self.test: Callable[[str], bool] = _test(op, value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels satisfy it."""
        return self.test(labels.get(self.name, ""))

    @property
    def sort_key(self) -> tuple[str, str, int]:
        """The place among other matchers: by name, value and operator."""
        return self.name, self.value, _ORDER[self.op]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matcher) and self.sort_key == other.sort_key

    def __hash__(self) -> int:
        return hash(self.sort_key)

    def __repr__(self) -> str:
        return f"Matcher({self})"

    def __str__(self) -> str:
        name = quoted(self.name) if any(map(reserved, self.name)) else self.name
        return f"{name}{self.op}{quoted(self.value)}"


def reserved(char: str) -> bool:
    """Say whether a character must be quoted in a name or value."""
    return char in _RESERVED or char.isspace()


def quoted(text: str) -> str:
    """Return the text in quotes, with backslash, newline and quote escaped."""
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{escaped}"'


def text_of(matchers: Iterable[Matcher]) -> str:
    """Return the text form of a set of matchers: `{a="1",b=~"x|y"}`."""
    return "{" + ",".join(map(str, matchers)) + "}"


def _test(op: Op, value: str) -> Callable[[str], bool]:
    if op is Op.EQUAL:
        return value.__eq__
    if op is Op.NOT_EQUAL:
        return value.__ne__
    found = _full_match(value)
    return found if op is Op.REGEX else lambda text: not found(text)


@lru_cache(maxsize=1024)
def _full_match(pattern: str) -> Callable[[str], bool]:
    """Return the test of one pattern; plain alternatives need no regular expression."""
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(f"^(?:{pattern})$", options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args else "not accepted"
        raise MatcherError(f"invalid regular expression {quoted(pattern)}: {reason}") from None
    inner = pattern[4:-2] if pattern.startswith("^(?:") and pattern.endswith(")$") else pattern
    alternatives = inner.split("|")
    if all(map(_LITERAL.fullmatch, alternatives)):
        return frozenset(alternatives).__contains__
    return lambda text: compiled.fullmatch(text) is not None
