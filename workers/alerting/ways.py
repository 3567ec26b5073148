"""Which integrations have to do with a group: its receiver's, and whoever else was told. Pure."""

from __future__ import annotations

from typing import NamedTuple

from workers.alerting.config import AlertingConfig
from workers.alerting.flush import Flush
from workers.alerting.keys import SUMMARY
from workers.alerting.pipeline import Role, Way
from workers.alerting.receivers import Integration, Receiver


class Ways(NamedTuple):
    """The ways of a group; `orphans` are targets that hold it open and exist no more."""

    ways: list[Way]
    orphans: list[str]


def ways_of(config: AlertingConfig, flush: Flush) -> Ways:
    """Return everyone who is told of a group, or was."""
    current = _current(config, flush)
    known = {way.integration.target for way in current}
    fallbacks = {receiver.name for receiver in chain(config, flush.options.receiver)}
    found, orphans = list(current), []
    every = config.integrations
    for target, entry in flush.log.items():
        if target in known:
            continue
        if (integration := every.get(target)) is not None:
            role = Role.FALLBACK if integration.receiver in fallbacks else Role.FORMER
            found.append(_way(config, integration, role))
        elif entry.open:
            orphans.append(target)
    return Ways(found, orphans)


def chain(config: AlertingConfig, receiver: str) -> list[Receiver]:
    """Return who stands in for a receiver, nearest first."""
    found: list[Receiver] = []
    place = config.receivers.get(receiver)
    while place is not None and place.fallback and len(found) < len(config.receivers):
        place = config.receivers[place.fallback]
        found.append(place)
    return found


def _current(config: AlertingConfig, flush: Flush) -> list[Way]:
    if flush.slot.startswith(SUMMARY):
        one = config.integrations.get(flush.slot.removeprefix(SUMMARY))
        return [] if one is None else [_way(config, one, Role.CURRENT)]
    receiver = config.receivers.get(flush.options.receiver)
    integrations = receiver.integrations if receiver else ()
    return [_way(config, one, Role.CURRENT) for one in integrations]


def _way(config: AlertingConfig, integration: Integration, role: Role) -> Way:
    return Way(integration, role, config.receivers[integration.receiver].resolve_when_muted)
