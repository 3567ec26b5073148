"""Summaries: what a target takes no calls for is told together, in one group of its own. Pure.

Each folded group is one alert in the summary, and ends there when it ends itself or was told by
its own call after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.alert import Alert
from workers.alerting.groups import GroupRef, Groups, describe
from workers.alerting.keys import SUMMARY
from workers.alerting.notification import Notification
from workers.alerting.receivers import Integration
from workers.alerting.wording import severity
from workers.ledger.transitions import Effect

SUMMARY_WAIT: Final = 10.0
SUMMARY_INTERVAL: Final = 60.0
SUMMARY_REPEAT: Final = 4 * 3600.0

ALERTNAME: Final = "SynapHooksSummary"


def summary_of(integration: Integration) -> GroupRef:
    """Return the group in which a target is told of what was folded."""
    options = {
        "receiver": integration.receiver,
        "group_interval": SUMMARY_INTERVAL,
        "repeat_interval": SUMMARY_REPEAT,
        "labels": {},
    }
    slot = SUMMARY + integration.target
    return describe(slot, slot, {"alertname": ALERTNAME}, options)


def folded(
    groups: Groups,
    integration: Integration,
    notification: Notification,
    before: Mapping[str, str],
    now: float,
) -> tuple[Mapping[str, str], list[Effect]]:
    """Return the labels of a group in the summary, and the writes that bring it there.

    Args:
        groups: where alerts are brought.
        integration: the target that takes no more calls.
        notification: what it should have been told.
        before: the labels under which the group stood there, empty if it did not.
        now: Unix seconds.
    """
    alert = _member(integration, notification, now)
    effects = [_write(groups, integration, alert, now)]
    if before and before != alert.labels:
        effects += unfolded(groups, integration, before, now)
    return alert.labels, effects


def unfolded(
    groups: Groups, integration: Integration, labels: Mapping[str, str], now: float
) -> list[Effect]:
    """Return the writes that end a group's place in the summary; none if it has none."""
    if not labels:
        return []
    over = Alert(
        labels=labels,
        annotations=_common(integration),
        starts_at=now,
        updated_at=now,
        ends_at=now,
    )
    return [_write(groups, integration, over, now)]


def _write(groups: Groups, integration: Integration, alert: Alert, now: float) -> Effect:
    first = now + SUMMARY_WAIT
    return groups.effect(summary_of(integration), alert, now=now, first=first, capped=False)


def _member(integration: Integration, notification: Notification, now: float) -> Alert:
    named = {name: text for name, text in notification.group_labels.items() if name != "alertname"}
    rate = integration.rate.per_second
    labels = {
        **named,
        "alertname": ALERTNAME,
        "folded": notification.common_labels.get("alertname", ""),
        "folded_group": notification.dedup_key[:12],
        "severity": severity(notification.firing) or "high",
    }
    return Alert(
        labels=labels,
        annotations={
            **_common(integration),
            "description": (
                f"{notification.title}. {integration.type} is called {rate:g} times a second at"
                " most, so this and other groups are told together. Why it matters: many things"
                " fire at once. What to do: look at all of them, and for what they share."
            ),
        },
        starts_at=min(alert.starts_at for alert in notification.firing),
        updated_at=now,
    )


def _common(integration: Integration) -> dict[str, str]:
    """Return what the summary says of each of its alerts, from its beginning to its end."""
    return {
        "summary": f"More alert groups than {integration.type} takes calls for",
        "inspect": "synap-hooks alerts list",
        "runbook": f"README.md#{ALERTNAME.lower()}",
    }
