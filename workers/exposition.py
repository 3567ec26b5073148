"""What `/metrics` of the workers shows: all children together, the supervisor, and Redis."""

# mypy: allow-untyped-calls
# prometheus_client's multiprocess modules carry no annotations.

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_FOLDED: Final = "0"
"""Stands for a pid in the files that hold what dead children counted; no child has it."""

_SUMMED: Final = ("counter", "histogram")


class Exposition(Collector):
    """The children's files in one directory, and the registry that shows everything.

    A dead child's numbers are added to those of the dead before it, and its files removed: totals
    never fall, and a child that keeps dying fills no disk.
    """

    def __init__(self, directory: Path) -> None:
        self.registry = CollectorRegistry()
        self._directory = directory
        self._files = MultiProcessCollector(None, str(directory))
        self._lock = threading.Lock()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the sum over all children, dead ones included."""
        with self._lock:
            self._fold_absent()
            yield from self._files.collect()

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read files."""
        return []

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)

    def forget(self, pid: int) -> None:
        """Fold the numbers of a child that has ended."""
        with self._lock:
            self._fold(pid)

    def _fold_absent(self) -> None:
        """Fold the numbers of grandchildren, whose end nobody reports."""
        names = (path.stem.rpartition("_")[2] for path in self._directory.glob("*.db"))
        for pid in {int(name) for name in names if name != _FOLDED}:
            if not _exists(pid):
                self._fold(pid)

    def _fold(self, pid: int) -> None:
        mark_process_dead(pid, str(self._directory))
        for kind in _SUMMED:
            path = self._directory / f"{kind}_{pid}.db"
            if not path.exists():
                continue
            folded = MmapedDict(str(self._directory / f"{kind}_{_FOLDED}.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                folded.write_value(key, folded.read_value(key)[0] + value, 0.0)
            folded.close()
            path.unlink()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
