"""Flushes: what is due is decided and handed to its targets.

A flush decides for each integration that has to do with its group, by itself, and leaves
deliveries, which `delivery` attempts. Any number of workers may flush at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError

from workers.alerting.config import AlertingConfig
from workers.alerting.decision import Entry
from workers.alerting.deliveries import Attempt, Deliveries, attempt_of
from workers.alerting.delivery import Deliverer
from workers.alerting.drill import SLOT as DRILL
from workers.alerting.durability import Durability
from workers.alerting.flush import Flush, Message
from workers.alerting.groups import Groups
from workers.alerting.inhibition import inhibited_by
from workers.alerting.intervals import held_back
from workers.alerting.keys import SUMMARY
from workers.alerting.notes import Notes
from workers.alerting.notification import Call
from workers.alerting.pipeline import Heard, Role, Verdict, Way, hear, records, verdicts
from workers.alerting.planning import going_on, in_words, options_of, sources, staying, warn
from workers.alerting.ports import Acknowledgements, Muting, Silences
from workers.alerting.store import Begun, Plan, Store
from workers.alerting.ways import ways_of
from workers.ledger.transitions import Effect
from workers.metrics import Delivery, WorkerMetrics
from workers.outbound import Outbound

_log = structlog.get_logger("workers.alerting")


class Neighbours(NamedTuple):
    """Who is asked in a flush."""

    silences: Silences
    acknowledgements: Acknowledgements


class Dispatcher:
    """Flushes groups and has what comes of it delivered; `clock` gives Unix seconds."""

    def __init__(
        self,
        *,
        store: Store,
        deliveries: Deliveries,
        deliverer: Deliverer,
        durability: Durability,
        groups: Groups,
        current: Callable[[], AlertingConfig],
        neighbours: Neighbours,
        notes: Notes,
        outbound: Outbound,
        metrics: WorkerMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._deliveries = deliveries
        self._deliverer = deliverer
        self._durability = durability
        self._groups = groups
        self._current = current
        self._neighbours = neighbours
        self._notes = notes
        self._outbound = outbound
        self._metrics = metrics
        self._clock = clock

    def flush(self, group_ids: Sequence[str], now: float) -> None:
        """Flush those of the groups whose flush is pending, and some that became urgent since."""
        try:
            self._flush_all(self._store.begin(group_ids, now), now)
        finally:
            self._notes.hand_over()

    def deliver(self, delivery_ids: Sequence[str], now: float) -> None:
        """Attempt those of the deliveries that are due, for a bounded time."""
        try:
            self._deliverer.deliver(delivery_ids, now)
        finally:
            self._notes.hand_over()

    def _flush_all(self, rows: Sequence[Any], now: float) -> None:
        """Flush the groups that were begun, then try what comes of it."""
        if not rows:
            return
        config = self._current()
        options = partial(options_of, config)
        silenced = self._neighbours.silences.in_force(now)
        left: list[Message] = []
        for row in rows:
            try:
                begun = self._store.opened(row, options, now, config.external_url)
                left += self._flush(config, begun, silenced, now, alone=len(rows) == 1)
            except RedisError:
                raise
            except Exception as error:  # noqa: BLE001 - one broken group stops no other
                _log.error("flush.broke", group=row[2].decode(), error=type(error).__name__)
        if left:
            self._deliverer.carry_on(None, left, max(now, self._clock()))

    def _flush(
        self, config: AlertingConfig, begun: Begun, silenced: Muting, now: float, *, alone: bool
    ) -> list[Message]:
        """Flush one group; return what is left to be told, first that of its first target.

        Alone, its first delivery is begun along with the end of the flush, and made at once.
        """
        begun, moves = self._moved(config, begun)
        found = ways_of(config, begun.flush)
        warn(config, begun.flush, found.orphans)
        flush = self._doubted(begun, found.ways)
        heard = self._heard(config, flush, silenced)
        opened = any(entry.open for entry in flush.log.values())
        ack = self._neighbours.acknowledgements.of(flush.gid, now) if opened else None
        decided = verdicts(flush, heard, found.ways, ack)
        plan = self._plan(config, begun, found.ways, decided, now)
        plan = replace(plan, generation="" if moves else config.route.signature, effects=moves)
        first = plan.send[0] if plan.send and alone else None
        finished, attempt = self._finish(begun, plan, first, now)
        if finished:
            self._notes.record(records(flush, heard, decided))
        if first is None:
            return list(plan.send) if finished else []
        others = plan.send[attempt is not None :] if finished else ()
        self._deliverer.carry_on(attempt, others, now)
        return []

    def _plan(
        self,
        config: AlertingConfig,
        begun: Begun,
        ways: Sequence[Way],
        decided: Sequence[Verdict],
        now: float,
    ) -> Plan:
        """Return what a flush leaves behind; what needs no delivery is told here."""
        due = [
            going_on(begun, in_words(config, one.message))
            for one in decided
            if one.message is not None
        ]
        send = [one for one in due if one.notification and one.integration.notifier.durable]
        stay = staying(config, begun, ways, send)
        return Plan(
            entries={one.target: self._tell(one, begun.flush) for one in due if one not in send},
            drop=sorted({*begun.addressed} - {one.delivery for one in send} - {*stay}),
            stay=stay,
            send=send,
            deadline=now + config.delivery_deadline,
            sources=sources(config, begun.flush),
        )

    def _finish(
        self, begun: Begun, plan: Plan, first: Message | None, now: float
    ) -> tuple[bool, Attempt | None]:
        """End a flush, and begin its first delivery in the same round trip if there is one."""
        if first is None:
            return self._store.finish(begun, plan, now)[0], None
        claim = self._deliveries.claiming(first.delivery, first.integration, now)
        finished, row = self._store.finish(begun, plan, now, claim)
        return finished, attempt_of(first.delivery, row)

    def _moved(self, config: AlertingConfig, begun: Begun) -> tuple[Begun, list[Effect]]:
        """Take out what belongs elsewhere since the tree changed: it ends here and fires there.

        What ended meanwhile was reported to where it would be now, and ends here as well.
        """
        flush = begun.flush
        if begun.generation == config.route.signature or flush.slot.startswith((SUMMARY, DRILL)):
            return begun, []
        away = [
            fingerprint
            for fingerprint, one in flush.held.items()
            if flush.gid not in {place.id for place in self._groups.places(one.alert.labels)}
        ]
        ended = self._store.ended(away)
        held = dict(flush.held)
        moving = []
        for fingerprint in away:
            alert = held[fingerprint].alert
            at = ended.get(fingerprint, float("-inf"))
            if at < alert.updated_at and not alert.resolved(flush.now):
                moving.append(alert)
            over = replace(alert, ends_at=flush.now if at < alert.updated_at else at)
            if not alert.resolved(flush.now):
                held[fingerprint] = held[fingerprint]._replace(alert=over)
        effects = self._groups.effects(moving, flush.now, capped=False)
        return begun._replace(flush=replace(flush, held=held)), effects

    def _doubted(self, begun: Begun, ways: Sequence[Way]) -> Flush:
        """Return the flush with a doubt wherever something may have been told unknown to us.

        An attempt whose worker is gone may have arrived; so may one that a server forgot.
        """
        flush = begun.flush
        log = dict(flush.log)
        for one in begun.open:
            if one.lost or self._durability.suspect(one.created):
                log[one.target] = log.get(one.target, Entry())._replace(doubt=True)
        if self._durability.suspect(flush.due):
            for way in ways:
                if way.role is Role.CURRENT and way.integration.notifier.stateful:
                    log.setdefault(way.integration.target, Entry(doubt=True))
        return replace(flush, log=log)

    def _heard(self, config: AlertingConfig, flush: Flush, silenced: Muting) -> Heard:
        inhibitor = config.inhibitor
        watched = [
            spot
            for one in flush.held.values()
            for watch in inhibitor.watches(one.alert.labels)
            for spot in watch.spots
        ]
        occupied = self._store.occupied(watched, flush.now)
        options = flush.options
        muted = held_back(
            config.intervals,
            options.active_time_intervals,
            options.mute_time_intervals,
            flush.now,
        )
        return hear(flush, inhibited_by(inhibitor, occupied), muted, silenced)

    def _tell(self, message: Message, flush: Flush) -> Entry:
        """Tell what needs no delivery: what stands where it is written, or nothing at all."""
        if message.notification is not None:
            memory: Mapping[str, str] = message.entry.memory
            call = Call(self._outbound, memory, message.delivery, flush.now)
            message.integration.notifier.notify(message.notification, call)
        counted = Delivery.SENT if message.notification else Delivery.SUPPRESSED
        self._metrics.notifications.labels(message.integration.type, counted).inc()
        return message.entry
