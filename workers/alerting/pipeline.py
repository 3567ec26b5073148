"""The pipeline: who is heard, and what each integration is to be told about it. Pure.

The order is inhibition, active times, mute times, silences; then each integration by itself,
against what it was told last. What is held back is never lost: a trouble that was told and ended
meanwhile is ended at its target too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from workers.alerting.decision import Entry, decide
from workers.alerting.flush import Flush, Message, compose, silent
from workers.alerting.notification import MAX_ALERTS, Why
from workers.alerting.ports import Acknowledgement, Decision, Record, Seen
from workers.alerting.receivers import Integration

Reason = Callable[[Mapping[str, str]], str | None]
"""Labels in, why an alert is not heard out; None if it is."""


class Heard(NamedTuple):
    """What is left of a group; `reasons` says of each other alert why it is not heard.

    `muted` names the time intervals that keep the whole group silent.
    """

    firing: frozenset[str]
    resolved: frozenset[str]
    reasons: Mapping[str, str]
    muted: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether anything may be said."""
        return bool(self.firing or self.resolved) and not self.muted


class Role(Enum):
    """Why an integration has to do with a group."""

    CURRENT = "its route's receiver"
    FALLBACK = "told when its receiver could not be"
    FORMER = "its receiver before the configuration changed"


class Way(NamedTuple):
    """An integration and its role; `resolve_when_muted` is its receiver's."""

    integration: Integration
    role: Role
    resolve_when_muted: bool


class Verdict(NamedTuple):
    """What was decided for one integration; a message without a notification moves its log on."""

    way: Way
    decision: Decision
    why: Why | None = None
    message: Message | None = None


def hear(flush: Flush, inhibited: Reason, muted: tuple[str, ...], silenced: Reason) -> Heard:
    """Return what may be told of a group: alerts are held back singly, times hold for all."""
    reasons: dict[str, str] = {}
    for fingerprint, held in flush.held.items():
        reason = inhibited(held.alert.labels)
        if reason is not None:
            reasons[fingerprint] = reason
    if muted and len(reasons) < len(flush.held):
        return _left(flush, reasons, muted)
    for fingerprint, held in flush.held.items():
        silence = None if fingerprint in reasons else silenced(held.alert.labels)
        if silence is not None:
            reasons[fingerprint] = f"silenced by {silence}"
    return _left(flush, reasons)


def _left(flush: Flush, reasons: Mapping[str, str], muted: tuple[str, ...] = ()) -> Heard:
    return Heard(flush.firing - reasons.keys(), flush.resolved - reasons.keys(), reasons, muted)


def verdicts(
    flush: Flush, heard: Heard, ways: Iterable[Way], ack: Acknowledgement | None
) -> list[Verdict]:
    """Return what is to be told now, one verdict for each integration."""
    return [_VERDICTS[way.role](flush, heard, way, ack) for way in ways]


def _current(flush: Flush, heard: Heard, way: Way, ack: Acknowledgement | None) -> Verdict:
    entry = flush.log.get(way.integration.target)
    if not heard.anything:
        return _unheard(flush, heard, way, entry)
    resolved = heard.resolved | _passed(flush, heard, way, entry)
    why = decide(
        entry,
        heard.firing,
        resolved,
        send_resolved=way.integration.notifier.send_resolved,
        repeat_interval=flush.options.repeat_interval,
        now=flush.now,
    )
    if ack is not None and why in {Why.REPEAT, None}:
        return _acknowledged(flush, way, ack, heard.firing, repeats=why is Why.REPEAT)
    if why is None:
        return Verdict(way, Decision.UNCHANGED)
    return _told(flush, way, why, heard.firing, resolved)


def _passed(flush: Flush, heard: Heard, way: Way, entry: Entry | None) -> frozenset[str]:
    """Return the ends that are said although they are held back: of what was told to fire."""
    if entry is None or not (way.resolve_when_muted and way.integration.notifier.stateful):
        return frozenset()
    if heard.firing or not flush.firing:
        return flush.resolved & entry.firing
    return frozenset()


def _unheard(flush: Flush, heard: Heard, way: Way, entry: Entry | None) -> Verdict:
    """Say nothing of what is held back, but never leave open what is over."""
    decision = Decision.MUTED if heard.muted else Decision.FILTERED
    if entry is None or not entry.open or flush.firing:
        return Verdict(way, decision)
    if way.resolve_when_muted and way.integration.notifier.stateful:
        return _told(flush, way, Why.ALL_RESOLVED, frozenset(), flush.resolved)
    return _cleared(flush, way, decision)


def _fallback(flush: Flush, heard: Heard, way: Way, ack: Acknowledgement | None) -> Verdict:
    """End what the fallback was told; anything new is its receiver's to fail at first."""
    del heard, ack
    entry = flush.log.get(way.integration.target)
    if entry is None or not entry.open or flush.firing:
        return Verdict(way, Decision.UNCHANGED)
    return _told(flush, way, Why.ALL_RESOLVED, frozenset(), flush.resolved)


def _former(flush: Flush, heard: Heard, way: Way, ack: Acknowledgement | None) -> Verdict:
    """End what a target was told for which this group is no longer meant."""
    del heard, ack
    entry = flush.log.get(way.integration.target)
    if entry is None or not entry.open:
        return Verdict(way, Decision.UNCHANGED)
    if not flush.firing:
        return _told(flush, way, Why.ALL_RESOLVED, frozenset(), flush.resolved)
    if not way.integration.notifier.stateful:
        return _cleared(flush, way, Decision.UNWANTED)
    return _told(flush, way, Why.MOVED, frozenset(), frozenset(flush.held))


_VERDICTS: Mapping[Role, Callable[[Flush, Heard, Way, Acknowledgement | None], Verdict]] = {
    Role.CURRENT: _current,
    Role.FALLBACK: _fallback,
    Role.FORMER: _former,
}


def _told(
    flush: Flush, way: Way, why: Why, firing: frozenset[str], resolved: frozenset[str]
) -> Verdict:
    before = flush.log.get(way.integration.target) or Entry()
    entry = Entry(firing, resolved, flush.due, before.memory, ack=before.ack if firing else "")
    message = compose(flush, way.integration, why, firing | resolved, entry)
    decision = Decision.QUEUED if message.notification else Decision.UNWANTED
    return Verdict(way, decision, why, message)


def _cleared(flush: Flush, way: Way, decision: Decision) -> Verdict:
    """Forget what was told, without a word."""
    before = flush.log.get(way.integration.target) or Entry()
    entry = Entry(frozenset(), flush.resolved, flush.due, before.memory)
    return Verdict(way, decision, None, silent(flush, way.integration, entry))


def _acknowledged(
    flush: Flush, way: Way, ack: Acknowledgement, firing: frozenset[str], *, repeats: bool
) -> Verdict:
    """Hold a repeat back; pass the acknowledgement on, once, to who holds the trouble open."""
    held_back = Verdict(way, Decision.ACKNOWLEDGED if repeats else Decision.UNCHANGED)
    entry = flush.log.get(way.integration.target)
    if entry is None or entry.ack == ack.id or not (entry.firing and firing):
        return held_back
    if not way.integration.notifier.acknowledges or entry.folded:
        return held_back
    kept = entry._replace(ack=ack.id)
    message = compose(flush, way.integration, Why.ACKNOWLEDGED, firing, kept)
    return Verdict(way, Decision.QUEUED, Why.ACKNOWLEDGED, message)


def records(flush: Flush, heard: Heard, found: Iterable[Verdict]) -> list[Record]:
    """Return what is remembered of a flush: one record for each integration."""
    alerts = tuple(
        Seen(fp, one.alert.labels, one.alert.starts_at, fp in flush.resolved,
             heard.reasons.get(fp, ""))
        for fp, one in list(flush.held.items())[:MAX_ALERTS]
    )  # fmt: skip
    return [
        Record(
            at=flush.now,
            gid=flush.gid,
            group_key=flush.key,
            route=flush.slot,
            receiver=verdict.way.integration.receiver,
            integration=verdict.way.integration.name,
            decision=verdict.decision,
            why=verdict.why.value if verdict.why else "",
            reasons=heard.muted if verdict.decision is Decision.MUTED else (),
            alerts=alerts,
        )
        for verdict in found
    ]
