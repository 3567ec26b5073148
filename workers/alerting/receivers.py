"""Who can be told, and in which ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.alerting.buckets import ANY, Rate
from workers.alerting.keys import digest
from workers.alerting.notification import Notifier
from workers.alerting.texts import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One way in which a receiver is told; `name` is its type and place: `webhook/0`."""

    receiver: str
    name: str
    notifier: Notifier
    rate: Rate = ANY

    @property
    def type(self) -> str:
        """The target's type, as metrics know it."""
        return self.name.partition("/")[0]

    @property
    def target(self) -> str:
        """The name under which what it was told is kept: `receiver/type/place`."""
        return f"{self.receiver}/{self.name}"

    @property
    def bucket(self) -> str:
        """The name of the bucket that counts its calls: a digest of type and account."""
        return digest(f"bucket:{self.type}/{self.notifier.account}")[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Someone who can be told, in any number of ways; in none at all for what is only dropped.

    `fallback` names who is told instead when every way failed for good. `resolve_when_muted` has
    the end of what was told said even at a time or in a state in which nothing else would be.
    """

    name: str
    integrations: tuple[Integration, ...] = ()
    fallback: str = ""
    resolve_when_muted: bool = True
    texts: Mapping[str, Template] = field(default_factory=dict)
