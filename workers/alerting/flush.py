"""One group at one moment: its alerts, and the message that tells of them.

Pure: what was read goes in, what is to be written comes out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple

from workers.alert import Alert
from workers.alerting.decision import Entry
from workers.alerting.keys import SUMMARY, delivery_id, digest
from workers.alerting.notification import MAX_ALERTS, Notification, Why
from workers.alerting.receivers import Integration

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
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Flush:
    """A group as it stood when its flush began; all times are Unix seconds.

    `now` is the one time that holds through the whole flush, `due` the time for which it was
    planned, `number` counts the group's flushes from 1. `log` is what each target was last told.
    """

    gid: str
    slot: str
    key: str
    group_labels: Mapping[str, str]
    options: Options
    number: int
    due: float
    now: float
    held: Mapping[str, Held]
    log: Mapping[str, Entry]
    external_url: str = ""

    @cached_property
    def resolved(self) -> frozenset[str]:
        """The fingerprints of the alerts that are over."""
        return frozenset(fp for fp, one in self.held.items() if one.alert.resolved(self.now))

    @cached_property
    def firing(self) -> frozenset[str]:
        """The fingerprints of the alerts that are not over."""
        return frozenset(self.held) - self.resolved

    def resolving(self) -> str:
        """Return the alerts that are over as the scripts take them: to be forgotten if told."""
        return "".join(f"{fp} {self.held[fp].head}\n" for fp in sorted(self.resolved))


class Toll(StrEnum):
    """What a delivery does at a target that takes no more calls now."""

    WAIT = "wait"
    """Take the next place in line, however long that is: something is open there."""
    FOLD = "fold"
    """Go into the summary when the line is long: nothing is open there yet."""
    FREE = "free"
    """Needs no call."""


class Message(NamedTuple):
    """What one integration is to be told, and what its log will say when it was.

    `notification` is None if there is nothing to say to it but the log moves on. `same` is the
    revision of an open delivery that says this already, 0 if there is none: it goes on as it is.
    """

    integration: Integration
    delivery: str
    notification: Notification | None
    entry: Entry
    toll: Toll = Toll.WAIT
    same: int = 0

    @property
    def target(self) -> str:
        """The name under which what it was told is kept."""
        return self.integration.target


def compose(
    flush: Flush, integration: Integration, why: Why, shown: Collection[str], entry: Entry
) -> Message:
    """Return the message about these alerts; one that wants no ends hears of firing ones alone.

    Args:
        flush: the group.
        integration: who is told.
        why: what is new; after `MOVED` everything is over for this target.
        shown: fingerprints of the alerts that it is about.
        entry: what the log will say.
    """
    alerts = sorted_alerts(flush, shown, over=why is Why.MOVED)
    if not integration.notifier.send_resolved:
        alerts = [alert for alert in alerts if alert.ends_at is None]
    before = flush.log.get(integration.target) or Entry()
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
        delivery=delivery_id(flush.gid, integration.target),
        notification=notification if alerts else None,
        entry=entry,
        toll=_toll(flush, before, notification),
    )


def silent(flush: Flush, integration: Integration, entry: Entry) -> Message:
    """Return what moves an integration's log on without a word to it."""
    return Message(integration, delivery_id(flush.gid, integration.target), None, entry)


def _toll(flush: Flush, before: Entry, notification: Notification) -> Toll:
    if flush.slot.startswith(SUMMARY):
        return Toll.WAIT
    over = notification.status == "resolved"
    if before.folded and not before.doubt:
        return Toll.FREE if over else Toll.FOLD
    return Toll.WAIT if over or before.open else Toll.FOLD


def sorted_alerts(flush: Flush, shown: Collection[str], *, over: bool = False) -> list[Alert]:
    """Return firing alerts, then those over, each sorted by job, instance and other labels.

    The end of an alert that fires is left out, so that nothing ends while it is being told;
    `over` has all of them end now.
    """
    found = []
    for fingerprint in shown:
        alert = flush.held[fingerprint].alert
        if not alert.resolved(flush.now):
            alert = replace(alert, ends_at=flush.now if over else None)
        found.append(alert)
    return sorted(found, key=lambda alert: (alert.ends_at is not None, _order(alert)))


def _order(alert: Alert) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    first = tuple(alert.labels.get(name, "") for name in _FIRST_LABELS)
    return first, sorted(alert.labels.items())
