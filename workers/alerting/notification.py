"""What a target is told: the alerts of one group at one moment; and who can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple, Protocol, runtime_checkable

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
    ACKNOWLEDGED = "acknowledged"
    MOVED = "routed elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message about one group; times are Unix seconds.

    `alerts` fire or are over at `at`, firing ones first; `truncated` counts those left out.
    `planned` is when the flush was due, from which repeats are counted.
    `dedup_key` is the same for every message about the group, `flush` counts them. `texts` are
    those that the configuration writes itself: `title`, `description`.
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
    texts: Mapping[str, str] = field(default_factory=dict)

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
        """`firing` while any alert is, or `acknowledged` if that is the news; else `resolved`."""
        if not self.firing:
            return "resolved"
        return "acknowledged" if self.why is Why.ACKNOWLEDGED else "firing"

    @property
    def state_id(self) -> str:
        """What changes with each state that is told and with nothing else, in a later group too."""
        return f"{self.status}-{self.flush}-{int(self.at * 1000)}"

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
        """One line for a person: the configured one, the single alert's summary, or in short."""
        if self.texts.get("title"):
            return self.texts["title"]
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
                "texts": self.texts,
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
            texts=stored.get("texts", {}),
        )


class Call(NamedTuple):
    """What a notifier needs beside the notification.

    `memory` is what it returned after its last success for this group, `delivery` an id that
    stays the same through all attempts, `now` the time in Unix seconds. `repeated` is True when
    an earlier attempt may have arrived although no answer said so.
    """

    outbound: Outbound
    memory: Mapping[str, str]
    delivery: str
    now: float
    repeated: bool = False


class Notifier(Protocol):
    """A configured target; one file each."""

    durable: ClassVar[bool]
    """Whether a delivery is kept for it; False for what cannot fail and stands nowhere else."""

    @property
    def idempotent(self) -> bool:
        """Whether the same message twice is the same as once."""
        ...

    @property
    def stateful(self) -> bool:
        """Whether what it was told stays open there until it is told the end."""
        ...

    @property
    def acknowledges(self) -> bool:
        """Whether it wants to hear that somebody took the trouble on."""
        ...

    @property
    def account(self) -> str:
        """By what the target counts calls: a credential, its file, or a channel.

        It is read at each attempt, so it reads no file; only its digest is ever stored.
        """
        ...

    @property
    def send_resolved(self) -> bool:
        """Whether it wants to hear that alerts are over."""
        ...

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Tell the target, once, and say how that went; raises nothing that is expected."""
        ...


@runtime_checkable
class Forgetful(Protocol):
    """A notifier whose target ends by itself what it is not told again."""

    @property
    def keep_alive(self) -> float:
        """After how many seconds it has to be told again."""
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
