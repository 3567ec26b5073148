"""Inhibition: what need not be heard while something else fires. Pure.

A rule holds an alert back while another one is active that matches the rule's sources and agrees
with it on every label of `equal`. All active sources count, so one that ends frees nothing while
another goes on. Sources are found under a `spot`: what they have in common with their targets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from workers.alerting.matchers import Matcher, text_of


class Missing(StrEnum):
    """What a label of `equal` means that both alerts lack: an agreement, or no reason."""

    MATCH = "match"
    IGNORE = "ignore"


class Rule(NamedTuple):
    """One inhibition rule; `equal` is sorted, `line` is where it stands in its file."""

    sources: tuple[Matcher, ...]
    targets: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    equal_missing: Missing = Missing.MATCH
    name: str = ""
    line: int = 0

    @property
    def reason(self) -> str:
        """What a person is told who asks why."""
        return f"inhibited by rule {self.name or f'at line {self.line}'}"


class Watch(NamedTuple):
    """Where an alert's inhibitors would be: any source at these spots holds it back."""

    rule: Rule
    spots: tuple[str, ...]


class Inhibitor:
    """All rules; what is stored under a spot survives a change of the other rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._ids = [_identity(rule) for rule in self.rules]

    def sources(self, labels: Mapping[str, str]) -> list[str]:
        """Return the spots at which an alert is a source while it is active."""
        spots = []
        for rule, ident in zip(self.rules, self._ids, strict=True):
            if _all(rule.sources, labels) and (at := _agreement(rule, labels)) is not None:
                spots.append(_spot(ident, at, both=_all(rule.targets, labels)))
        return spots

    def watches(self, labels: Mapping[str, str]) -> list[Watch]:
        """Return where to look for what holds an alert back.

        A source that is also a target does not hold back an alert that is both as well: else
        two alike would silence each other, and one itself.
        """
        found = []
        for rule, ident in zip(self.rules, self._ids, strict=True):
            if not _all(rule.targets, labels) or (at := _agreement(rule, labels)) is None:
                continue
            sides = (False,) if _all(rule.sources, labels) else (False, True)
            found.append(Watch(rule, tuple(_spot(ident, at, both=side) for side in sides)))
        return found


Inhibited = Callable[[Mapping[str, str]], str | None]
"""Labels in, the reason for which the alert is held back out; None if it is not."""


def inhibited_by(inhibitor: Inhibitor, occupied: Iterable[str]) -> Inhibited:
    """Return the question whether an alert is held back, given the spots that have a source."""
    taken = frozenset(occupied)

    def reason(labels: Mapping[str, str]) -> str | None:
        for watch in inhibitor.watches(labels):
            if not taken.isdisjoint(watch.spots):
                return watch.rule.reason
        return None

    return reason


def _all(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


def _agreement(rule: Rule, labels: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the values on which source and target must agree; None if that cannot be."""
    if rule.equal_missing is Missing.IGNORE and any(name not in labels for name in rule.equal):
        return None
    return tuple(labels.get(name, "") for name in rule.equal)


def _identity(rule: Rule) -> str:
    """Return what tells a rule's spots from another's, whatever it is called or where it stands."""
    return repr((text_of(rule.sources), text_of(rule.targets), rule.equal))


def _spot(ident: str, values: tuple[str, ...], *, both: bool) -> str:
    return hashlib.sha256(repr((ident, values, both)).encode()).hexdigest()[:32]
