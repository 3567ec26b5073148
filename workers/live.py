"""A configuration that is read again while the process runs: whole, or not at all.

A file that changed is read once it has stood still for a moment; one that has problems is
reported, and what held before goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import structlog

from receiver.errors import SettingsError
from workers.metrics import Reload, WorkerMetrics

CHECK_SECONDS: Final = 1.0
REST_SECONDS: Final = 1.0

T = TypeVar("T")


class _Stamp(NamedTuple):
    """What changes with a file; `changed_at` is Unix seconds."""

    inode: int
    size: int
    changed_at: float


_log = structlog.get_logger("workers.live")


class Live(Generic[T]):
    """What holds now.

    Args:
        load: reads everything; raises `SettingsError` with every problem.
        path: the file to watch, None for nothing.
        metrics: counts what became of each change.
        asked: how often somebody asked for a reload so far.
        clock: Unix seconds.

    Raises:
        SettingsError: there is nothing to begin with.
    """

    def __init__(
        self,
        load: Callable[[], T],
        path: Path | None,
        metrics: WorkerMetrics,
        *,
        asked: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._load = load
        self._path = path
        self._metrics = metrics
        self._asked = asked
        self._clock = clock
        self._heard = asked()
        self._read = _stamp(path)
        self._held = load()
        self._checked_at = clock()

    def current(self) -> T:
        """Return what holds, after a look at the file if the last one was a while ago."""
        asked = self._asked()
        if asked != self._heard:
            self._heard = asked
            self._reload(_stamp(self._path))
        elif self._path is not None and abs(self._clock() - self._checked_at) >= CHECK_SECONDS:
            self._check()
        return self._held

    def _check(self) -> None:
        """Read the file if it is another than the one that was read, and rests."""
        now = self._checked_at = self._clock()
        stamp = _stamp(self._path)
        if stamp != self._read and (stamp is None or abs(now - stamp.changed_at) >= REST_SECONDS):
            self._reload(stamp)

    def _reload(self, stamp: _Stamp | None) -> None:
        self._read = stamp
        try:
            self._held = self._load()
        except SettingsError as error:
            self._metrics.config_reloads.labels(Reload.REFUSED).inc()
            _log.error("config.refused", problems=list(error.problems))
            return
        self._metrics.config_reloads.labels(Reload.LOADED).inc()
        _log.info("config.reloaded")


def _stamp(path: Path | None) -> _Stamp | None:
    """Return what changes with a file, None if there is none to look at."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return _Stamp(found.st_ino, found.st_size, found.st_mtime) if found else None
