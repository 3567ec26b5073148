"""What a target is told: the alerts of one group at one moment; and who can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import orjson

from workers.alert import Alert
from workers.outbound import Outbound, Verdict

MAX_ALERTS: Final = 500
"""Alerts that one notification carries whole; the others are counted."""

ELLIPSIS: Final = "…"


class Why(StrEnum):
    """Why a notification is sent."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts"
    NEW_RESOLVED = "new resolved alerts"
    ALL_RESOLVED = "all alerts resolved"
    REPEAT = "repeat interval elapsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message about one group; times are Unix seconds.

    `alerts` fire or are over at `at`, firing ones first; `truncated` counts those left out.
    `planned` is when the flush was due, from which repeats are counted.
    `dedup_key` is the same for every message about the group, `flush` counts them.
    """

    group_key: str
    dedup_key: str
    receiver: str
    why: Why
    at: float
    planned: float
    flush: int
    group_labels: Mapping[str, str]
    alerts: tuple[Alert, ...]
    route_labels: Mapping[str, str] = field(default_factory=dict)
    truncated: int = 0
    external_url: str = ""

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that are not over."""
        return tuple(alert for alert in self.alerts if not alert.resolved(self.at))

    @property
    def resolved(self) -> tuple[Alert, ...]:
        """The alerts that are over."""
        return tuple(alert for alert in self.alerts if alert.resolved(self.at))

    @property
    def status(self) -> str:
        """`firing` while any alert is, else `resolved`."""
        return "firing" if self.firing else "resolved"

    @property
    def common_labels(self) -> dict[str, str]:
        """The labels on which all alerts agree."""
        return common([alert.labels for alert in self.alerts])

    @property
    def common_annotations(self) -> dict[str, str]:
        """The annotations on which all alerts agree."""
        return common([alert.annotations for alert in self.alerts])

    @property
    def title(self) -> str:
        """One line for a person: the single alert's summary, or the group in short."""
        shown = self.firing or self.alerts
        if len(shown) == 1 and not self.truncated:
            found = shown[0].annotations.get("summary") or shown[0].name
        else:
            found = self.common_annotations.get("summary") or self._named()
        counted = len(shown) + self.truncated
        return found if counted == 1 else f"{found} ({counted} alerts)"

    def _named(self) -> str:
        name = self.common_labels.get("alertname", "alerts")
        rest = (v for k, v in sorted(self.group_labels.items()) if k != "alertname")
        return " ".join([name, *rest])

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        return orjson.dumps(
            {
                "group_key": self.group_key,
                "dedup_key": self.dedup_key,
                "receiver": self.receiver,
                "why": self.why,
                "at": self.at,
                "planned": self.planned,
                "flush": self.flush,
                "group_labels": self.group_labels,
                "alerts": [orjson.Fragment(alert.to_wire()) for alert in self.alerts],
                "route_labels": self.route_labels,
                "truncated": self.truncated,
                "external_url": self.external_url,
            }
        )

    @classmethod
    def from_wire(cls, wire: bytes) -> Notification:
        """Read the stored JSON form."""
        stored: dict[str, Any] = orjson.loads(wire)
        return cls(
            group_key=stored["group_key"],
            dedup_key=stored["dedup_key"],
            receiver=stored["receiver"],
            why=Why(stored["why"]),
            at=stored["at"],
            planned=stored["planned"],
            flush=stored["flush"],
            group_labels=stored["group_labels"],
            alerts=tuple(Alert.from_wire(orjson.dumps(alert)) for alert in stored["alerts"]),
            route_labels=stored["route_labels"],
            truncated=stored["truncated"],
            external_url=stored["external_url"],
        )


class Call(NamedTuple):
    """What a notifier needs beside the notification.

    `memory` is what it returned after its last success for this group, `delivery` an id that
    stays the same through all attempts, `now` the time in Unix seconds.
    """

    outbound: Outbound
    memory: Mapping[str, str]
    delivery: str
    now: float


class Notifier(Protocol):
    """A configured target; one file each."""

    durable: ClassVar[bool]
    """Whether a delivery is kept for it; False for what cannot fail and stands nowhere else."""
    idempotent: ClassVar[bool]
    """Whether the same message twice is the same as once."""

    @property
    def send_resolved(self) -> bool:
        """Whether it wants to hear that alerts are over."""
        ...

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Tell the target, once, and say how that went; raises nothing that is expected."""
        ...


def common(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the pairs that stand in every table."""
    if not tables:
        return {}
    first, *rest = tables
    return {k: v for k, v in first.items() if all(table.get(k) == v for table in rest)}


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters; what is cut ends in an ellipsis."""
    if len(text) <= limit:
        return text
    return text[:limit] if limit <= len("abc") else text[: limit - 1] + ELLIPSIS


def cut_bytes(text: str, limit: int) -> str:
    """Return a text of at most `limit` UTF-8 bytes, cut on a character boundary."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    room = limit - len(ELLIPSIS.encode())
    if room < 0:
        return "." * limit
    return encoded[:room].decode(errors="ignore") + ELLIPSIS
