"""Alerting, put together from its parts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from redis import Redis

from workers.alerting.acknowledgements import AcknowledgementBook
from workers.alerting.config import AlertingConfig
from workers.alerting.deliveries import Deliveries
from workers.alerting.delivery import Deliverer
from workers.alerting.due import DueSource
from workers.alerting.durability import Durability
from workers.alerting.groups import LEASE, Groups
from workers.alerting.history import AlertHistory
from workers.alerting.notes import Notes
from workers.alerting.notify import Dispatcher, Neighbours
from workers.alerting.silence_book import SilenceBook
from workers.alerting.store import Store
from workers.metrics import WorkerMetrics
from workers.outbound import Outbound


class Alerting(NamedTuple):
    """What the rest of a worker needs: where alerts go in, what flushes, what the tick asks."""

    groups: Groups
    dispatcher: Dispatcher
    source: DueSource


def assemble(
    redis: Redis,
    prefix: str,
    current: Callable[[], AlertingConfig],
    outbound: Outbound,
    metrics: WorkerMetrics,
    *,
    ack: str,
    patience: float,
    lease: float = LEASE,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> Alerting:
    """Compose alerting.

    Args:
        redis: a client.
        prefix: of every key.
        current: returns the configuration that holds now.
        outbound: the way to the targets.
        metrics: what notifications move.
        ack: how durable an outcome has to be: what `SYNAP_ACK` says.
        patience: seconds to wait for that.
        lease: seconds for which a worker has what it took.
        clock: Unix seconds.
        chance: a number from 0 to 1.
    """
    groups = Groups(prefix, current, lease=lease)
    durability = Durability(redis, prefix, ack=ack, patience=patience, clock=clock)
    notes = Notes(AlertHistory(redis, prefix))
    deliveries = Deliveries(redis, prefix, durability, lease=lease)
    deliverer = Deliverer(
        deliveries=deliveries,
        durability=durability,
        groups=groups,
        current=current,
        history=notes,
        outbound=outbound,
        metrics=metrics,
        clock=clock,
        chance=chance,
    )
    dispatcher = Dispatcher(
        store=Store(redis, prefix, lease=lease),
        deliveries=deliveries,
        deliverer=deliverer,
        durability=durability,
        groups=groups,
        current=current,
        neighbours=Neighbours(SilenceBook(redis, prefix), AcknowledgementBook(redis, prefix)),
        notes=notes,
        outbound=outbound,
        metrics=metrics,
        clock=clock,
    )
    return Alerting(groups, dispatcher, DueSource(redis, prefix, lease=lease))
