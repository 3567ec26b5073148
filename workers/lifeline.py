"""When a process of ours shall end: because it was asked to, or because its parent is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Final, Self

_PR_SET_PDEATHSIG: Final = 1
_SLICE: Final = 0.1
_PARENT_POLL: Final = 1.0


class Stop:
    """A request to stop, made by a signal or by another thread.

    Waiting is sleeping in slices: the locks of `threading.Event` are not safe to take within a
    signal handler.
    """

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> Self:
        """Take SIGTERM and SIGINT as the request; main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)
        return self

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; say whether to stop."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))
        return self.requested

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True


class Hangup:
    """A request to read the configuration again: each SIGHUP is one."""

    def __init__(self) -> None:
        self.heard = 0

    def listen(self) -> Self:
        """Take SIGHUP as the request; main thread only."""
        signal.signal(signal.SIGHUP, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.heard += 1


def die_with(parent: int) -> None:
    """Have this process sent SIGTERM when `parent` is gone, so that none is left alone.

    The kernel does it on Linux; elsewhere a thread looks once a second.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    else:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before we were bound to it
        os.kill(os.getpid(), signal.SIGTERM)


def watch(parent: int) -> None:
    """Send SIGTERM to this process as soon as `parent` is not its parent any more."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL)
    os.kill(os.getpid(), signal.SIGTERM)
