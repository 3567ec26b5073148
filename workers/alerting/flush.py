"""One group at one moment: its alerts, what each integration would be told, and why.

Pure: what was read goes in, what is to be written comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from workers.alert import Alert
from workers.alerting.config import Integration
from workers.alerting.decision import Entry, decide
from workers.alerting.keys import delivery_id, digest
from workers.alerting.notification import MAX_ALERTS, Notification, Why

_FIRST_LABELS: Final = ("job", "instance")


class Held(NamedTuple):
    """An alert as its group holds it; `head` is the part that changes when it is reported."""

    head: str
    alert: Alert


class Options(NamedTuple):
    """What holds for a group: its route's options, or those it was made with; in seconds."""

    receiver: str
    group_interval: float
    repeat_interval: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """A group as it stood when its flush began; all times are Unix seconds.

    `now` is the one time that holds through the whole flush, `due` the time for which it was
    planned, `number` counts the group's flushes from 1.
    """

    gid: str
    key: str
    group_labels: Mapping[str, str]
    options: Options
    number: int
    due: float
    now: float
    held: Mapping[str, Held]
    log: Mapping[str, Entry]
    external_url: str = ""

    @property
    def firing(self) -> frozenset[str]:
        """The fingerprints of the alerts that are not over."""
        return frozenset(fp for fp, one in self.held.items() if not one.alert.resolved(self.now))

    @property
    def resolved(self) -> frozenset[str]:
        """The fingerprints of the alerts that are over."""
        return frozenset(self.held) - self.firing

    def resolving(self) -> str:
        """Return the alerts that are over as the scripts take them: to be forgotten if told."""
        return "".join(f"{fp} {self.held[fp].head}\n" for fp in sorted(self.resolved))


class Message(NamedTuple):
    """What one integration is to be told, and what its log will say when it was.

    `notification` is None if there is nothing to say to it but the log moves on.
    """

    integration: Integration
    target: str
    delivery: str
    notification: Notification | None
    firing: frozenset[str]
    resolved: frozenset[str]
    at: float

    def entry(self, memory: Mapping[str, str]) -> Entry:
        """Return the log entry of its success."""
        return Entry(self.firing, self.resolved, self.at, memory)


def messages(flush: Flush, integrations: Iterable[Integration]) -> list[Message]:
    """Return what is to be told now, at most one message for each integration."""
    firing, resolved = flush.firing, flush.resolved
    alerts = sorted_alerts(flush)
    found = []
    for integration in integrations:
        target = f"{integration.receiver}/{integration.name}"
        why = decide(
            flush.log.get(target),
            firing,
            resolved,
            send_resolved=integration.notifier.send_resolved,
            repeat_interval=flush.options.repeat_interval,
            now=flush.now,
        )
        if why is not None:
            found.append(_message(flush, integration, target, why, alerts))
    return found


def sorted_alerts(flush: Flush) -> list[Alert]:
    """Return firing alerts, then those over, each sorted by job, instance and other labels.

    The end of an alert that fires is left out, so that nothing ends while it is being told.
    """
    snapshot = [
        one.alert if one.alert.resolved(flush.now) else replace(one.alert, ends_at=None)
        for one in flush.held.values()
    ]
    return sorted(snapshot, key=lambda alert: (alert.ends_at is not None, _order(alert)))


def _order(alert: Alert) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    first = tuple(alert.labels.get(name, "") for name in _FIRST_LABELS)
    return first, sorted(alert.labels.items())


def _message(
    flush: Flush, integration: Integration, target: str, why: Why, alerts: list[Alert]
) -> Message:
    """Build one message; an integration that wants no ends hears of firing alerts alone."""
    if not integration.notifier.send_resolved:
        alerts = [alert for alert in alerts if alert.ends_at is None]
    notification = Notification(
        group_key=flush.key,
        dedup_key=digest(flush.key),
        receiver=integration.receiver,
        why=why,
        at=flush.now,
        planned=flush.due,
        flush=flush.number,
        group_labels=flush.group_labels,
        alerts=tuple(alerts[:MAX_ALERTS]),
        route_labels=flush.options.labels,
        truncated=max(0, len(alerts) - MAX_ALERTS),
        external_url=flush.external_url,
    )
    return Message(
        integration=integration,
        target=target,
        delivery=delivery_id(flush.gid, target),
        notification=notification if alerts else None,
        firing=flush.firing,
        resolved=flush.resolved,
        at=flush.due,
    )
