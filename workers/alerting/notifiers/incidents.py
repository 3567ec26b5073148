"""Which incidents stand open at a target, and by which events it comes to agree with us. Pure.

For targets whose open incident keeps the severity that it was opened with. When a group gets worse
a new incident is opened, its key extended by the severity, and then the old one is resolved: at no
moment is there none. A resolve is only asked for what was opened, or may have been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import orjson

from workers.alert import Alert
from workers.alerting.notification import Notification

OPEN: Final = "open"
"""The memory's field for the incidents that are open."""


class Incident(NamedTuple):
    """An incident: of which group or alert, how severe, and the account it was opened through."""

    identity: str
    severity: str = ""
    account: str = ""


class Act(NamedTuple):
    """One event to send: `trigger`, `acknowledge` or `resolve` under a key."""

    action: str
    key: str
    incident: Incident
    part: Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How a target ranks: its severities, worst first, and how it calls an alert's."""

    steps: tuple[str, ...]
    said: Callable[[Alert], str]
    by_alert: bool = False

    def of(self, part: Notification) -> str:
        """Return the worst severity among what fires."""
        return self.worst(self.said(alert) for alert in part.firing)

    def worst(self, found: Iterator[str]) -> str:
        """Return the worst of these severities."""
        return min(found, key=self.steps.index)


def opened(memory: Mapping[str, str]) -> dict[str, Incident]:
    """Return the incidents that are remembered as open, by key."""
    return {key: Incident(*one) for key, one in orjson.loads(memory.get(OPEN, "{}")).items()}


def after(act: Act, memory: Mapping[str, str], account: str) -> dict[str, str]:
    """Return what to remember once an event was accepted."""
    held = opened(memory)
    if act.action == "trigger":
        held[act.key] = act.incident._replace(account=account)
    elif act.action == "resolve":
        held.pop(act.key, None)
    return {OPEN: orjson.dumps({name: [*one] for name, one in held.items()}).decode()}


def plan(
    notification: Notification, held: Mapping[str, Incident], ladder: Ladder, *, repeated: bool
) -> Iterator[Act]:
    """Yield the events by which the target comes to agree with the notification.

    Args:
        notification: what is true now.
        held: the incidents that are open, by key.
        ladder: how the target ranks.
        repeated: whether more may be open than is known.
    """
    by_identity: dict[str, dict[str, Incident]] = {}
    for key, one in held.items():
        by_identity.setdefault(one.identity, {})[key] = one
    for identity, part in _parts(notification, by_alert=ladder.by_alert):
        mine = by_identity.get(identity, {})
        if part.status == "resolved":
            yield from _end(identity, part, mine, ladder, repeated=repeated)
        elif part.status == "acknowledged":
            for key, one in (mine or {identity: Incident(identity)}).items():
                yield Act("acknowledge", key, one, part)
        else:
            yield from _fire(identity, part, mine, ladder)


def _parts(notification: Notification, *, by_alert: bool) -> list[tuple[str, Notification]]:
    """Return what has an incident of its own, with its identity: the group, or each alert."""
    if not by_alert:
        return [(notification.dedup_key, notification)]
    group = notification.dedup_key[:40]
    return [
        (f"{group}-{alert.fingerprint}", replace(notification, alerts=(alert,), truncated=0))
        for alert in notification.alerts
    ]


def _fire(
    identity: str, part: Notification, mine: Mapping[str, Incident], ladder: Ladder
) -> Iterator[Act]:
    """Yield a trigger, under a new key if it is worse than what is open, and the old one's end."""
    said = ladder.of(part)
    ordered = sorted(mine.items(), key=lambda pair: ladder.steps.index(pair[1].severity))
    key, incident = ordered[0] if ordered else (identity, Incident(identity, said))
    if ladder.steps.index(said) < ladder.steps.index(incident.severity):
        key, incident = f"{identity}-{said}", Incident(identity, said)
    if key not in mine or not ladder.by_alert:
        yield Act("trigger", key, incident, part)
    for old, one in mine.items():
        if old != key:
            yield Act("resolve", old, one, part)


def _end(
    identity: str,
    part: Notification,
    mine: Mapping[str, Incident],
    ladder: Ladder,
    *,
    repeated: bool,
) -> Iterator[Act]:
    """Yield the end of what is open, and in doubt of what may have been opened unseen."""
    keys = [*mine]
    if not mine and (repeated or not ladder.by_alert):
        keys.append(identity)
    if repeated:
        found = {ladder.said(alert) for alert in part.alerts}
        mildest = max(found, key=ladder.steps.index)
        keys += sorted(f"{identity}-{said}" for said in found - {mildest})
    for key in dict.fromkeys(keys):
        yield Act("resolve", key, mine.get(key, Incident(identity)), part)
