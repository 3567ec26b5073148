"""Alerts come to groups: the tree says which, and one script writes them.

The writes are effects: they happen in the script that settles the event that caused them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Final, NamedTuple
from uuid import uuid4

import orjson

from receiver.broker import NOTIFICATIONS, JobFields, job_fields, queues_key, script_args
from workers.alert import Alert
from workers.alerting.config import AlertingConfig
from workers.alerting.keys import digest, room
from workers.alerting.route import Route, Router
from workers.ledger.transitions import Effect

FLUSH_GROUPS: Final = "workers.jobs.flush_groups"
DELIVER: Final = "workers.jobs.deliver"

LEASE: Final = 30.0
"""Seconds for which a worker has what it took; what is not done by then comes due again."""

SOURCE_SECONDS: Final = 7 * 86_400
"""Seconds for which a source of inhibition is remembered; each flush of its group renews it."""

_MEMORY: Final = 20_000
_FRESH_SECONDS: Final = 5.0
"""Seconds for which this process trusts that a flush it pushed needs no second job."""


class GroupRef(NamedTuple):
    """A group, named: its id, and the arguments that describe it to the script."""

    id: str
    key: str
    args: tuple[str, ...]


class _Tree(NamedTuple):
    """What is worked out from one configuration, and thrown away with it."""

    config: AlertingConfig
    router: Router
    known: dict[tuple[int, tuple[tuple[str, str], ...]], GroupRef]


class Groups:
    """Routes alerts; `current` returns the configuration that holds now, `lease` is in seconds."""

    def __init__(
        self, prefix: str, current: Callable[[], AlertingConfig], *, lease: float = LEASE
    ) -> None:
        self._room = room(prefix)
        self._current = current
        self._lease = lease
        self._tree: _Tree | None = None
        self._pushed: dict[str, float] = {}

    def effects(self, alerts: Sequence[Alert], now: float, *, capped: bool = True) -> list[Effect]:
        """Return one write for each alert and group it belongs to; `now` is Unix seconds."""
        tree = self._planted()
        found = []
        for alert in alerts:
            ended = _with_end(alert, tree.config.resolve_timeout, now)
            for route in tree.router.routes(alert.labels):
                first = _first_flush(alert, route.options.group_wait, now)
                group = self._group(tree, route, alert.labels)
                found.append(self.effect(group, ended, now=now, first=first, capped=capped))
        return found

    def effect(
        self, group: GroupRef, alert: Alert, *, now: float, first: float, capped: bool = True
    ) -> Effect:
        """Return the write that brings an alert to a group.

        Args:
            group: where it belongs.
            alert: what is reported.
            now: Unix seconds.
            first: when the group is flushed if it is new.
            capped: whether it is refused when there are too many groups.
        """
        config = self._planted().config
        spots = config.inhibitor.sources(alert.labels)
        job = self._job(group.id, now) if first <= now else ()
        return Effect(
            "alert",
            (
                self._room,
                group.id,
                alert.fingerprint,
                alert.starts_at,
                alert.updated_at,
                "" if alert.ends_at is None else alert.ends_at,
                int(alert.timeout),
                alert.to_wire(),
                now,
                first,
                now + self._lease,
                config.max_groups if capped else 0,
                *group.args,
                config.route.signature,
                SOURCE_SECONDS,
                len(spots),
                *spots,
                *job,
            ),
        )

    def places(self, labels: Mapping[str, str]) -> list[GroupRef]:
        """Return the groups to which an alert with these labels belongs."""
        tree = self._planted()
        return [self._group(tree, route, labels) for route in tree.router.routes(labels)]

    def group(self, route: Route, labels: Mapping[str, str]) -> GroupRef:
        """Return the group of a route to which an alert with these labels belongs."""
        return self._group(self._planted(), route, labels)

    def _group(self, tree: _Tree, route: Route, labels: Mapping[str, str]) -> GroupRef:
        named = route.group_labels(labels)
        place = (route.idx, tuple(sorted(named.items())))
        known = tree.known.get(place)
        if known is None:
            if len(tree.known) >= _MEMORY:
                tree.known.clear()
            known = tree.known[place] = _describe(route, named)
        return known

    def _planted(self) -> _Tree:
        """Return what belongs to the configuration of this moment."""
        config = self._current()
        if self._tree is None or self._tree.config is not config:
            self._tree = _Tree(config, Router(config.route), {})
        return self._tree

    def _job(self, gid: str, now: float) -> tuple[str | bytes | int | float, ...]:
        """Return the flush's job for a group that may be new.

        Most alerts of a storm belong to a group that this process has just pushed: a job for
        each would cost more than all else, and if the group is gone after all, the tick sees it.
        """
        if now - self._pushed.get(gid, 0.0) < _FRESH_SECONDS:
            return ()
        if len(self._pushed) >= _MEMORY:
            self._pushed.clear()
        self._pushed[gid] = now
        return (queues_key(), *script_args(flush_job([gid])))


def flush_job(group_ids: Iterable[str]) -> JobFields:
    """Return the job that flushes these groups."""
    return job_fields(
        FLUSH_GROUPS, [list(group_ids)], queue=NOTIFICATIONS, job_id=f"flush-{uuid4().hex}"
    )


def deliver_job(delivery_ids: Iterable[str]) -> JobFields:
    """Return the job that attempts these deliveries."""
    return job_fields(
        DELIVER, [list(delivery_ids)], queue=NOTIFICATIONS, job_id=f"deliver-{uuid4().hex}"
    )


def groups_lua() -> str:
    """Return the fragment that defines the effect `alert`."""
    return lua("groups.lua")


def lua(name: str) -> str:
    """Return the text of one of alerting's scripts."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def describe(
    slot: str, key: str, group_labels: Mapping[str, str], options: Mapping[str, object]
) -> GroupRef:
    """Return the group of a slot with these labels; `options` are `flush.Options`' fields."""
    labels = orjson.dumps(group_labels, option=orjson.OPT_SORT_KEYS).decode()
    args = (slot, key, labels, orjson.dumps(options).decode())
    return GroupRef(digest(f"{slot}:{labels}"), key, args)


def _describe(route: Route, group_labels: Mapping[str, str]) -> GroupRef:
    options = route.options
    kept = {
        "receiver": options.receiver,
        "group_interval": options.group_interval,
        "repeat_interval": options.repeat_interval,
        "labels": options.labels,
    }
    return describe(route.slot, route.group_key(group_labels), group_labels, kept)


def _first_flush(alert: Alert, wait: float, now: float) -> float:
    """Return when a new group is flushed: at once if its alert waited elsewhere already."""
    return now if alert.starts_at + wait < now else now + wait


def _with_end(alert: Alert, resolve_timeout: float | None, now: float) -> Alert:
    """Return the alert with an assumed end, if nobody stated one and one is configured."""
    if alert.ends_at is not None or resolve_timeout is None:
        return alert
    return replace(alert, ends_at=now + resolve_timeout, timeout=True)
