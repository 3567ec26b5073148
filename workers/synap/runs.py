"""What is usual for retention on one instance and scope; values, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

KEPT: Final = 20
"""How many runs a baseline looks back on."""

LEAST: Final = 3
"""Fewer runs make no baseline and no rhythm."""


class Run(NamedTuple):
    """One run; `at` is Unix seconds."""

    event_key: str
    at: float
    deleted: int


class Watch(NamedTuple):
    """What is watched for silence: one scope of one instance, as events name them."""

    instance_id: str
    scope: str
    endpoint: str
    interval: float
    last: float


def watch_id(instance_id: str, scope: str) -> str:
    """Return what stands for an instance and a scope in Redis."""
    framed = f"{len(instance_id)}:{instance_id}{scope}"
    return hashlib.sha256(framed.encode()).hexdigest()[:32]


def baseline(runs: Sequence[Run]) -> float | None:
    """Return how many memories a run usually deletes; None while that is not known."""
    return float(median(run.deleted for run in runs)) if len(runs) >= LEAST else None


def interval(runs: Sequence[Run]) -> float | None:
    """Return the usual seconds between runs; None while that is not known."""
    times = sorted(run.at for run in runs)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if len(times) < LEAST:
        return None
    usual = median(gaps)
    return usual if usual > 0 else None
