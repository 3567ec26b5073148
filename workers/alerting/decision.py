"""Whether a group's state is worth a notification, given what was told last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from workers.alerting.notification import Why


class Entry(NamedTuple):
    """What one integration was last told about one group.

    `firing` and `resolved` are fingerprints, `at` the time for which the flush was planned (Unix
    seconds), `memory` what the notifier wants to know next time. `doubt` is True when a message
    about firing alerts may have arrived although no answer said so. `ack` is the acknowledgement
    that was passed on, `folded` the labels under which the group stands in a summary.
    """

    firing: frozenset[str] = frozenset()
    resolved: frozenset[str] = frozenset()
    at: float = 0.0
    memory: Mapping[str, str] = {}
    doubt: bool = False
    ack: str = ""
    folded: Mapping[str, str] = {}

    @property
    def open(self) -> bool:
        """Whether the target holds the trouble open, as far as anyone can know."""
        return bool(self.firing) or self.doubt

    def tells(self, other: Entry) -> bool:
        """Say whether the target knows the same state by both."""
        return self[:2] == other[:2] and self.ack == other.ack

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        stored = {
            "firing": sorted(self.firing),
            "resolved": sorted(self.resolved),
            "at": self.at,
            "memory": self.memory,
            "doubt": self.doubt,
            "ack": self.ack,
            "folded": self.folded,
        }
        return orjson.dumps(stored)

    @classmethod
    def from_wire(cls, wire: bytes) -> Entry:
        """Read the stored JSON form; fields that an older release did not have are absent."""
        stored: dict[str, Any] = orjson.loads(wire)
        return cls(
            frozenset(stored["firing"]),
            frozenset(stored["resolved"]),
            stored["at"],
            stored["memory"],
            stored["doubt"],
            stored.get("ack", ""),
            stored.get("folded", {}),
        )


def decide(
    entry: Entry | None,
    firing: frozenset[str],
    resolved: frozenset[str],
    *,
    send_resolved: bool,
    repeat_interval: float,
    now: float,
) -> Why | None:
    """Return why to notify now; None if there is nothing to say.

    Args:
        entry: what was told last; None if nothing ever was.
        firing: fingerprints of the alerts that fire.
        resolved: fingerprints of the alerts that are over.
        send_resolved: whether the integration wants to hear of ends.
        repeat_interval: seconds after which the same is said again.
        now: Unix seconds.
    """
    if entry is None:
        return Why.FIRST if firing else None
    if not firing <= entry.firing:
        return Why.NEW_ALERTS if entry.firing else Why.FIRST
    if not firing:
        return Why.ALL_RESOLVED if entry.open else None
    if send_resolved and not resolved <= entry.resolved:
        return Why.NEW_RESOLVED
    return Why.REPEAT if entry.at < now - repeat_interval else None
