"""The tick: once a second, whatever is due is put on its queue; now and then the sweeps run.

Every supervisor has a tick, and all of them compete for one lease in Redis. The lease saves work;
it is no lock: whatever a tick calls does each thing once by itself, should two ever overlap.
A tick only enqueues, so it needs no credential and is given none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

import structlog
from redis import Redis
from redis.exceptions import RedisError

from workers.lifeline import Stop
from workers.metrics import WorkerMetrics

Errand = Callable[[float], int]
"""What the tick runs: takes Unix seconds, returns how many things it moved."""

INTERVAL: Final = 1.0

_RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""

_log = structlog.get_logger("workers.tick")


class Lease:
    """The right to be the one tick that works, for `seconds` at a time."""

    def __init__(self, redis: Redis, name: str, *, seconds: float) -> None:
        self._redis = redis
        self._name = name
        self._milliseconds = int(seconds * 1000)
        self._token = uuid4().hex
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)

    def hold(self) -> bool:
        """Renew the lease or take a free one; say whether it is held."""
        try:
            if self._renew(keys=[self._name], args=[self._token, self._milliseconds]):
                return True
            return bool(self._redis.set(self._name, self._token, nx=True, px=self._milliseconds))
        except RedisError:
            # a server that refuses may have become a replica: its name leads elsewhere by now
            self._redis.connection_pool.disconnect()
            raise

    def release(self) -> None:
        """Give the lease back, if it is still held."""
        self._release(keys=[self._name], args=[self._token])


class Tick:
    """Runs sources each second and sweeps each `sweep_interval` seconds while it holds the lease.

    One that fails never stops the others; it is logged and counted under its name.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        sources: Mapping[str, Errand],
        sweeps: Mapping[str, Errand],
        sweep_interval: float,
        metrics: WorkerMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lease = lease
        self._sources = sources
        self._sweeps = sweeps
        self._sweep_interval = sweep_interval
        self._metrics = metrics
        self._clock = clock
        self._next_sweep = float("-inf")
        self._leading = False
        self._failing: set[str] = set()

    def run(self, stop: Stop) -> None:
        """Tick until asked to stop, then give the lease back."""
        while not stop.requested:
            began = time.monotonic()
            self.step()
            stop.wait(max(0.0, INTERVAL - (time.monotonic() - began)))
        self._release()

    def step(self) -> bool:
        """Do what is due now; say whether this tick holds the lease."""
        if not self._hold():
            return False
        due = dict(self._sources)
        if self._clock() >= self._next_sweep:
            self._next_sweep = self._clock() + self._sweep_interval
            due |= self._sweeps
        for name, errand in due.items():
            # a long errand before this one may have cost the lease
            if not self._hold():
                return False
            self._attempt(name, errand)
        return True

    def _hold(self) -> bool:
        try:
            held = self._lease.hold()
        except RedisError as error:
            self._failed("lease", error)
            held = False
        else:
            self._recovered("lease")
        if held != self._leading:
            self._leading = held
            _log.info("tick.took_over" if held else "tick.stood_back")
        return held

    def _attempt(self, name: str, errand: Errand) -> None:
        try:
            moved = errand(self._clock())
        except Exception as error:  # noqa: BLE001 - one that fails must not stop the others
            self._failed(name, error)
            return
        self._recovered(name)
        if moved:
            _log.debug("tick.moved", source=name, count=moved)

    def _failed(self, name: str, error: Exception) -> None:
        """Count each failure, but log only the first of a row: a tick has 86 400 a day."""
        self._metrics.tick_errors.labels(name).inc()
        if name not in self._failing:
            self._failing.add(name)
            _log.error("tick.failed", source=name, error=type(error).__name__)

    def _recovered(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            _log.info("tick.recovered", source=name)

    def _release(self) -> None:
        try:
            self._lease.release()
        except RedisError as error:
            _log.warning("tick.kept_lease", error=type(error).__name__)
