"""Alerts come to groups: the tree says which, and one script writes them.

The writes are effects: they happen in the script that settles the event that caused them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Final, NamedTuple
from uuid import uuid4

import orjson

from receiver.broker import NOTIFICATIONS, JobFields, job_fields, queues_key, script_args
from workers.alert import Alert
from workers.alerting.keys import digest, room
from workers.alerting.route import Route, Router
from workers.ledger.transitions import Effect

FLUSH_GROUPS: Final = "workers.jobs.flush_groups"
DELIVER: Final = "workers.jobs.deliver"

TAKEN_SECONDS: Final = 30.0
"""Seconds after which something taken but not done comes due again."""

_MEMORY: Final = 20_000
_FRESH_SECONDS: Final = 5.0
"""Seconds for which this process trusts that a flush it pushed needs no second job."""


class GroupRef(NamedTuple):
    """A group, named: its id, and the arguments that describe it to the script."""

    id: str
    key: str
    args: tuple[str, ...]


class Groups:
    """Routes alerts; `max_groups` 0 means that there may be any number."""

    def __init__(self, prefix: str, root: Route, *, max_groups: int = 0) -> None:
        self._room = room(prefix)
        self._router = Router(root)
        self._max_groups = max_groups
        self._known: dict[tuple[int, tuple[tuple[str, str], ...]], GroupRef] = {}
        self._pushed: dict[str, float] = {}

    def effects(self, alerts: Sequence[Alert], now: float) -> list[Effect]:
        """Return one write for each alert and group it belongs to; `now` is Unix seconds."""
        return [
            self._effect(alert, route, now)
            for alert in alerts
            for route in self._router.routes(alert.labels)
        ]

    def group(self, route: Route, labels: Mapping[str, str]) -> GroupRef:
        """Return the group of a route to which an alert with these labels belongs."""
        named = route.group_labels(labels)
        place = (route.idx, tuple(sorted(named.items())))
        known = self._known.get(place)
        if known is None:
            if len(self._known) >= _MEMORY:
                self._known.clear()
            known = self._known[place] = _describe(route, named)
        return known

    def _effect(self, alert: Alert, route: Route, now: float) -> Effect:
        group = self.group(route, alert.labels)
        wait = route.options.group_wait
        old = alert.starts_at + wait < now
        first = now if old else now + wait
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
                now + TAKEN_SECONDS,
                self._max_groups,
                *group.args,
                *job,
            ),
        )

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


def _describe(route: Route, group_labels: Mapping[str, str]) -> GroupRef:
    labels = orjson.dumps(group_labels, option=orjson.OPT_SORT_KEYS).decode()
    key = route.group_key(group_labels)
    options = route.options
    kept = orjson.dumps(
        {
            "receiver": options.receiver,
            "group_interval": options.group_interval,
            "repeat_interval": options.repeat_interval,
            "labels": options.labels,
        }
    )
    gid = digest(f"{route.slot}:{labels}")
    return GroupRef(gid, key, (route.slot, key, labels, kept.decode()))
