"""Who is told instead when a receiver failed for good."""

from __future__ import annotations

from dataclasses import replace

from workers.alerting.config import AlertingConfig
from workers.alerting.decision import Entry, decide
from workers.alerting.deliveries import Attempt, Deliveries
from workers.alerting.flush import Message, Toll
from workers.alerting.keys import delivery_id
from workers.alerting.receivers import Integration
from workers.alerting.route import REPEAT_INTERVAL


def instead_of(
    config: AlertingConfig,
    deliveries: Deliveries,
    attempt: Attempt,
    failed: Integration,
    now: float,
) -> list[Message]:
    """Return what the fallback of a receiver is to be told; nothing it was told already.

    Args:
        config: the configuration that holds.
        deliveries: where the log is read.
        attempt: what failed.
        failed: the integration that it failed at.
        now: Unix seconds.
    """
    receiver = config.receivers.get(failed.receiver)
    other = config.receivers.get(receiver.fallback) if receiver else None
    if other is None:
        return []
    durable = [one for one in other.integrations if one.notifier.durable]
    log = deliveries.entries(attempt.gid, [one.target for one in durable])
    found = (_message(attempt, one, log.get(one.target), now) for one in durable)
    return [message for message in found if message is not None]


def _message(
    attempt: Attempt, integration: Integration, entry: Entry | None, now: float
) -> Message | None:
    told = attempt.told
    why = decide(
        entry,
        told.firing,
        told.resolved,
        send_resolved=integration.notifier.send_resolved,
        repeat_interval=REPEAT_INTERVAL,
        now=now,
    )
    wants_ends = integration.notifier.send_resolved
    alerts = attempt.notification.alerts if wants_ends else attempt.notification.firing
    if why is None or not alerts:
        return None
    notification = replace(
        attempt.notification, receiver=integration.receiver, why=why, alerts=alerts
    )
    before = entry or Entry()
    return Message(
        integration=integration,
        delivery=delivery_id(attempt.gid, integration.target),
        notification=notification,
        entry=Entry(told.firing, told.resolved, told.at, before.memory),
        toll=Toll.WAIT if before.open or not notification.firing else Toll.FOLD,
    )
