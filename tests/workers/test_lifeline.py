"""Ends of processes: on request, and with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.servers import ROOT, wait_for
from workers.lifeline import Hangup, Stop

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(child.pid, flush=True)
time.sleep(60)
"""

BOUND = """
import sys, time
from workers.lifeline import die_with
die_with(int(sys.argv[1]))
time.sleep(60)
"""

WATCHING = """
import sys, threading, time
from workers.lifeline import watch
threading.Thread(target=watch, args=(int(sys.argv[1]),), daemon=True).start()
time.sleep(60)
"""


def running(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("child", [BOUND, WATCHING], ids=["kernel", "polling"])
def test_child_dies_with_its_parent(child: str) -> None:
    """A child whose parent is killed ends too, bound by the kernel or by looking itself."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, child], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    alive_before = running(pid)

    parent.kill()
    parent.wait()
    wait_for(lambda: not running(pid), seconds=5, what="the child's end")

    parent.stdout.close()
    assert alive_before


def test_orphan_ends_at_once() -> None:
    """A child that is bound after its parent has gone ends itself."""
    ended = subprocess.run([sys.executable, "-c", BOUND, "1"], cwd=ROOT, timeout=10, check=False)

    assert ended.returncode == -signal.SIGTERM


def test_signal_is_a_request() -> None:
    """SIGTERM is heard within the wait."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop = Stop().listen()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()

    heard = stop.wait(5)

    for number, handler in before.items():
        signal.signal(number, handler)
    assert heard


def test_wait_ends_by_itself() -> None:
    """Without a request the wait takes its time and says so."""
    began = time.monotonic()

    asked = Stop().wait(0.15)

    assert not asked
    assert time.monotonic() - began >= 0.15


def test_each_hangup_is_a_wish_to_reload() -> None:
    """SIGHUP does not end the process: each one is counted."""
    before = signal.getsignal(signal.SIGHUP)
    try:
        hangup = Hangup().listen()
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)

        assert hangup.heard == 2
    finally:
        signal.signal(signal.SIGHUP, before)
