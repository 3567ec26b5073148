"""A rollback as values: what was asked, what would be done, what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from workers.alert import Alert
from workers.synap.answers import Configuration
from workers.synap.difference import Change
from workers.synap.violations import RULE


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person asked for; `to` is None for the last version that proved good."""

    instance: str
    to: str | None
    reason: str
    actor: str
    as_json: bool


class Plan(NamedTuple):
    """What would be done: from `current` to `goal`; `why` says why that one."""

    current: Configuration
    goal: Configuration
    why: str
    changes: tuple[Change, ...]


class Done(NamedTuple):
    """What was done at `at` (Unix seconds); `message` is Synap's.

    `ended` are the alerts of the guard that ended, `lacking` says what was left undone.
    """

    at: float
    message: str
    ended: tuple[Alert, ...]
    verified: bool = True
    lacking: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules whose alerts ended."""
        return tuple(sorted(alert.labels.get(RULE, "") for alert in self.ended))
