"""What a configuration would have told: recorded alerts through the pipeline, on their own clock.

Pure: the recorded times of alerts go in, notifications come out. Groups, timers, inhibition and
time intervals are those of the pipeline; silences and acknowledgements, which people make, are
left out, and every delivery succeeds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from workers.alert import Alert, fingerprint
from workers.alerting.config import AlertingConfig
from workers.alerting.decision import Entry
from workers.alerting.flush import Flush, Held, Options
from workers.alerting.inhibition import inhibited_by
from workers.alerting.intervals import held_back
from workers.alerting.pipeline import Role, Way, hear, verdicts
from workers.alerting.ports import Record
from workers.alerting.route import Route


class Life(NamedTuple):
    """A time during which an alert fired; `ends_at` is infinite while it does (Unix seconds)."""

    labels: Mapping[str, str]
    starts_at: float
    ends_at: float


class Told(NamedTuple):
    """A notification; `opens` says that it is the first one of a trouble, one that pages."""

    at: float
    receiver: str
    type: str
    group_key: str
    opens: bool
    fingerprints: frozenset[str]


class _Source(NamedTuple):
    """A time during which something at a spot holds others back."""

    starts_at: float
    ends_at: float
    spot: str


@dataclass(slots=True)
class _Group:
    """A group that is played; `log` is what each target was told last.

    `sources` are those that may hold any of its alerts back.
    """

    route: Route
    labels: Mapping[str, str]
    lives: list[Life]
    sources: list[_Source] = field(default_factory=list)
    log: dict[str, Entry] = field(default_factory=dict)


def lives(records: Iterable[Record], *, until: float) -> list[Life]:
    """Return when each alert fired, as far as the decisions about it tell.

    Args:
        records: decisions, oldest first.
        until: the end of what is known; what was not seen to end fires until then.
    """
    begun: dict[str, tuple[Mapping[str, str], float]] = {}
    found: list[Life] = []
    for record in records:
        for seen in record.alerts:
            if seen.resolved and seen.fingerprint in begun:
                labels, starts = begun.pop(seen.fingerprint)
                found.append(Life(labels, starts, record.at))
            elif not seen.resolved:
                begun.setdefault(seen.fingerprint, (seen.labels, min(seen.starts_at, record.at)))
    found += [Life(labels, starts, math.inf) for labels, starts in begun.values()]
    return sorted((life for life in found if life.starts_at < until), key=lambda one: one.starts_at)


def play(config: AlertingConfig, known: Sequence[Life], *, until: float) -> list[Told]:
    """Return what would have been told until then, in order."""
    stage = _Stage(config, known, until)
    return sorted(told for group in stage.groups for told in stage.play(group))


class _Stage:
    """The groups of a configuration, and who else fires at a time."""

    def __init__(self, config: AlertingConfig, known: Sequence[Life], until: float) -> None:
        self._config = config
        self._until = until
        groups: dict[tuple[int, str], _Group] = {}
        for life in known:
            for route in config.route.match(life.labels):
                labels = route.group_labels(life.labels)
                place = (route.idx, route.group_key(labels))
                groups.setdefault(place, _Group(route, labels, [])).lives.append(life)
        self.groups = list(groups.values())
        sources = _sources(config, known)
        for group in self.groups if sources else ():
            spots = _watched(config, group.lives)
            group.sources = [source for spot in spots for source in sources.get(spot, ())]

    def play(self, group: _Group) -> Iterator[Told]:
        """Yield what a group tells; flushes at which nothing can change are passed over."""
        options = group.route.options
        waiting = sorted(group.lives, key=lambda life: life.starts_at)
        held: dict[str, Life] = {}
        at = math.inf
        number = 0
        while waiting or held:
            if not held:
                at = waiting[0].starts_at + options.group_wait
                number = 0
            if at > self._until:
                return
            while waiting and waiting[0].starts_at <= at:
                life = waiting.pop(0)
                held[fingerprint(life.labels)] = life
            number += 1
            yield from self._flush(group, held, at, number)
            held = {name: life for name, life in held.items() if life.ends_at > at}
            at = self._next(group, held, waiting, at)

    def _flush(
        self, group: _Group, held: Mapping[str, Life], at: float, number: int
    ) -> Iterator[Told]:
        route, options = group.route, group.route.options
        flush = Flush(
            gid="",
            slot=route.slot,
            key=route.group_key(group.labels),
            group_labels=group.labels,
            options=Options(
                options.receiver, options.group_interval, options.repeat_interval, options.labels
            ),
            number=number,
            due=at,
            now=at,
            held={name: Held("", _alert(life, at)) for name, life in held.items()},
            log=group.log,
        )
        occupied = (one.spot for one in group.sources if one.starts_at <= at < one.ends_at)
        muted = held_back(
            self._config.intervals, route.active_time_intervals, route.mute_time_intervals, at
        )
        heard = hear(flush, inhibited_by(self._config.inhibitor, occupied), muted, lambda _: None)
        for verdict in verdicts(flush, heard, self._ways(options.receiver), None):
            message = verdict.message
            if message is None:
                continue
            opens = not group.log.get(message.target, Entry()).firing
            group.log[message.target] = message.entry
            if message.notification is not None:
                yield Told(
                    at=at,
                    receiver=verdict.way.integration.receiver,
                    type=verdict.way.integration.type,
                    group_key=flush.key,
                    opens=opens and message.notification.status == "firing",
                    fingerprints=message.entry.firing | message.entry.resolved,
                )

    def _ways(self, receiver: str) -> list[Way]:
        found = self._config.receivers[receiver]
        return [Way(one, Role.CURRENT, found.resolve_when_muted) for one in found.integrations]

    def _next(
        self, group: _Group, held: Mapping[str, Life], waiting: Sequence[Life], at: float
    ) -> float:
        """Return the group's next flush at which something may have changed."""
        route, every = group.route, group.route.options.group_interval
        if route.active_time_intervals or route.mute_time_intervals:
            return at + every
        changes = [life.ends_at for life in held.values()]
        changes += [life.starts_at for life in waiting[:1]]
        changes += [moment for one in group.sources for moment in one[:2] if moment > at]
        nearest = min(changes, default=at)
        to_change = math.inf if nearest == math.inf else math.ceil((nearest - at) / every)
        # A repeat is due when more than the interval has passed, not when just that much has.
        told = min((entry.at for entry in group.log.values() if entry.firing), default=at)
        to_repeat = math.floor((told + route.options.repeat_interval - at) / every) + 1
        return at + every * max(1, min(to_change, to_repeat))


def _alert(life: Life, at: float) -> Alert:
    ends = life.ends_at if life.ends_at <= at else None
    return Alert(labels=life.labels, starts_at=life.starts_at, updated_at=at, ends_at=ends)


def _sources(config: AlertingConfig, known: Iterable[Life]) -> dict[str, list[_Source]]:
    """Return when there is something that holds others back, by spot."""
    found: dict[str, list[_Source]] = {}
    for life in known:
        for spot in config.inhibitor.sources(life.labels):
            found.setdefault(spot, []).append(_Source(life.starts_at, life.ends_at, spot))
    return found


def _watched(config: AlertingConfig, some: Iterable[Life]) -> set[str]:
    return {
        spot
        for life in some
        for watch in config.inhibitor.watches(life.labels)
        for spot in watch.spots
    }


class Change(NamedTuple):
    """What becomes of one receiver: notifications and, of those, the ones that open a trouble."""

    receiver: str
    before: int
    after: int
    opened_before: int
    opened_after: int


class Moved(NamedTuple):
    """Alerts of one name that other receivers hear of."""

    alertname: str
    alerts: int
    before: tuple[str, ...]
    after: tuple[str, ...]


def changes(before: Sequence[Told], after: Sequence[Told]) -> list[Change]:
    """Return what each receiver hears, then and now, by name."""
    counts = [
        Counter(told.receiver for told in some if told.opens or not only_opening)
        for only_opening in (False, True)
        for some in (before, after)
    ]
    names = sorted({name for count in counts for name in count})
    return [Change(name, *(count[name] for count in counts)) for name in names]


def moved(before: AlertingConfig, after: AlertingConfig, known: Iterable[Life]) -> list[Moved]:
    """Return the alerts that go to other receivers, or in another order, most of them first."""
    found: Counter[tuple[str, tuple[str, ...], tuple[str, ...]]] = Counter()
    labels_of = {fingerprint(life.labels): life.labels for life in known}
    for labels in labels_of.values():
        old, new = (
            tuple(route.options.receiver for route in config.route.match(labels))
            for config in (before, after)
        )
        if old != new:
            found[labels.get("alertname", ""), old, new] += 1
    return [Moved(name, count, old, new) for (name, old, new), count in found.most_common()]
