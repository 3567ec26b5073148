"""What holds for one group, and what its flush leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from workers.alerting.config import AlertingConfig
from workers.alerting.flush import Flush, Message, Options
from workers.alerting.keys import delivery_id
from workers.alerting.notification import Forgetful
from workers.alerting.pipeline import Role, Way
from workers.alerting.store import Begun, GroupMeta, Source
from workers.alerting.texts import worded
from workers.alerting.ways import chain

_log = structlog.get_logger("workers.alerting")


def options_of(config: AlertingConfig, group: GroupMeta) -> Options:
    """Return the options of the group's route; a group outlives a route that is gone."""
    route = config.slots.get(group.slot)
    if route is None:
        return group.options
    own = route.options
    return Options(
        own.receiver,
        own.group_interval,
        own.repeat_interval,
        own.labels,
        route.mute_time_intervals,
        route.active_time_intervals,
    )


def warn(config: AlertingConfig, flush: Flush, orphans: Sequence[str]) -> None:
    """Say what nobody can be told of any more."""
    if flush.options.receiver not in config.receivers or orphans:
        _log.warning(
            "group.orphaned", group=flush.key, receiver=flush.options.receiver, open_at=orphans
        )


def in_words(config: AlertingConfig, message: Message) -> Message:
    """Return the message in the words that the configuration has for it."""
    if message.notification is None:
        return message
    receiver = config.receivers[message.integration.receiver]
    texts = {**config.texts, **receiver.texts}
    notification, failed = worded(message.notification, texts)
    for name, reason in failed.items():
        _log.warning("template.failed", template=name, receiver=receiver.name, error=reason)
    return message._replace(notification=notification)


def going_on(begun: Begun, message: Message) -> Message:
    """Return the message, knowing the open delivery that says the same already.

    What may have arrived is told again under the id it had, never as if it were news.
    """
    for one in begun.open:
        if one.target == message.target and not one.kept and one.told.tells(message.entry):
            return message._replace(same=one.revision)
    return message


def staying(
    config: AlertingConfig, begun: Begun, ways: Sequence[Way], send: Sequence[Message]
) -> list[str]:
    """Return the open deliveries that go on as they are while the group fires.

    A fallback is told what its receiver could not be told, whether or not that is tried again;
    and what is kept alive is told again and again.
    """
    flush = begun.flush
    if not flush.firing:
        return []
    targets = [
        one.target
        for receiver in chain(config, flush.options.receiver)
        for one in receiver.integrations
    ]
    targets += [
        way.integration.target
        for way in ways
        if way.role is Role.CURRENT and isinstance(way.integration.notifier, Forgetful)
    ]
    new = {one.delivery for one in send}
    ids = {delivery_id(flush.gid, target) for target in targets}
    return sorted(ids & {*begun.addressed} - new)


def sources(config: AlertingConfig, flush: Flush) -> list[Source]:
    """Return where the group's active alerts hold others back."""
    if not config.inhibitor.rules:
        return []
    return [
        Source(spot, fingerprint, "" if alert.ends_at is None else str(alert.ends_at))
        for fingerprint in flush.firing
        for alert in (flush.held[fingerprint].alert,)
        for spot in config.inhibitor.sources(alert.labels)
    ]
