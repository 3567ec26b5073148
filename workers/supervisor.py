"""The supervisor: keeps the configured processes running and ends them when it is ended.

    python -m workers
    ├── python -m workers --queue events …     as many as SYNAP_WORKERS says
    └── python -m workers --tick

A child that ends unasked is started again, after a pause that grows while it keeps dying young.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from receiver.broker import EVENTS, EVENTS_BULK, NOTIFICATIONS, ROTATION
from workers.lifeline import Stop
from workers.metrics import TICK, SupervisorMetrics

POLL: Final = 0.2
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
NEWBORN: Final = 2.0
"""Seconds within which a child may not listen to signals yet."""

LIVED: Final = 30.0
"""Seconds after which a child counts as healthy, and its next death as its first."""

_NOTIFIER_SECRETS: Final = ("PAGERDUTY_ROUTING_KEY", "SLACK_WEBHOOK_URL")
_API_SECRETS: Final = ("SYNAP_API_KEY",)
_EDGE_SECRETS: Final = ("SYNAP_WEBHOOK_SECRET",)

_AMAZON_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_STORE_SECRETS: Final = (*_AMAZON_SECRETS, "AZURE_CLIENT_SECRET")
_STORES_USED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    ROTATION: _STORE_SECRETS,
    NOTIFICATIONS: _AMAZON_SECRETS,
}
"""The secrets of clouds that a role's SDKs read: rotation writes stores, Amazon takes alerts."""

WITHHELD: Final[Mapping[str, tuple[str, ...]]] = {
    EVENTS: _NOTIFIER_SECRETS,
    EVENTS_BULK: _NOTIFIER_SECRETS,
    NOTIFICATIONS: _API_SECRETS,
    ROTATION: _NOTIFIER_SECRETS,
    TICK: _NOTIFIER_SECRETS + _API_SECRETS,
}
"""The secrets that a role does not use, and so is not given."""

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "PAGERDUTY_ROUTING_KEY": "withheld",
    "SLACK_WEBHOOK_URL": "https://withheld.invalid/",
    "SYNAP_API_KEY": "withheld",
}
"""Stand for a secret that is set but not given: which targets exist decides about routes."""

_log = structlog.get_logger("workers.supervisor")


class Process(Protocol):
    """What the supervisor needs of a child process."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Send a signal, unless it has ended."""
        ...


Spawn = Callable[[str], Process]


@dataclass(slots=True)
class Child:
    """One place for a process of a role; times are monotonic seconds."""

    role: str
    process: Process | None = None
    started_at: float = 0.0
    due_at: float = float("-inf")
    deaths: int = 0


class Supervisor:
    """Watches its children from one thread; the admin port reads it from others.

    Args:
        roles: how many processes each role has.
        spawn: starts a process of a role. The kernel binds children to the thread that starts
            them, so `run` belongs on the main thread.
        metrics: counts the restarts.
        reaped: is called with the pid of each child that has ended.
        grace: seconds for the children to finish what they have in hand.
        hangups: says how often a reload was asked for; each is passed on to the children.
    """

    def __init__(
        self,
        roles: Mapping[str, int],
        *,
        spawn: Spawn,
        metrics: SupervisorMetrics,
        reaped: Callable[[int], None],
        grace: float,
        hangups: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._children = [Child(role) for role, count in roles.items() for _ in range(count)]
        self._spawn = spawn
        self._metrics = metrics
        self._reaped = reaped
        self._grace = grace
        self._hangups = hangups
        self._passed_on = hangups()
        self._clock = clock
        self.beat = clock()
        self.stopping = False

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that has a place here."""
        return tuple(dict.fromkeys(child.role for child in self._children))

    def alive(self, role: str) -> int:
        """Return how many processes of a role run."""
        return sum(child.role == role and child.process is not None for child in self._children)

    def pids(self, role: str) -> list[int]:
        """Return the process ids of a role."""
        found = (child.process for child in self._children if child.role == role)
        return [process.pid for process in found if process is not None]

    def run(self, stop: Stop) -> None:
        """Keep the children running until asked to stop, then end them."""
        while not stop.requested:
            self.step()
            stop.wait(POLL)
        self._end()

    def step(self) -> None:
        """Look after each child once."""
        now = self.beat = self._clock()
        for child in self._children:
            if child.process is not None and (status := child.process.poll()) is not None:
                self._bury(child, child.process.pid, status, now)
            if child.process is None and now >= child.due_at:
                self._start(child, now)
        self._pass_on(now)

    def _pass_on(self, now: float) -> None:
        """Have the children reload, if that was asked for; one just born reads what is new."""
        heard = self._hangups()
        if heard == self._passed_on:
            return
        self._passed_on = heard
        for child in self._children:
            if child.process is not None and now - child.started_at >= NEWBORN:
                child.process.send_signal(signal.SIGHUP)
        _log.info("supervisor.passed_on_reload")

    def _start(self, child: Child, now: float) -> None:
        try:
            child.process = self._spawn(child.role)
        except OSError as error:  # no memory or no processes left: that may pass
            child.due_at = now + self._pause(child)
            child.deaths += 1
            _log.error("child.not_started", role=child.role, error=type(error).__name__)
            return
        if child.deaths:
            self._metrics.restarts.labels(child.role).inc()
        child.started_at = now
        _log.info("child.started", role=child.role, pid=child.process.pid, deaths=child.deaths)

    def _bury(self, child: Child, pid: int, status: int, now: float) -> None:
        child.process = None
        lived = now - child.started_at
        if lived >= LIVED:
            child.deaths = 0
        pause = self._pause(child)
        child.deaths += 1
        child.due_at = now + pause
        self._reaped(pid)
        _log.warning(
            "child.died",
            role=child.role,
            pid=pid,
            **_cause(status),
            lived_seconds=round(lived, 1),
            restart_in_seconds=pause,
        )

    @staticmethod
    def _pause(child: Child) -> float:
        doublings = min(child.deaths, 16)
        return min(LONGEST_PAUSE, FIRST_PAUSE * float(2**doublings))

    def _end(self) -> None:
        """Ask every child to finish, wait, and kill what has not at the end of the grace."""
        self.stopping = True
        began = self._clock()
        self._signal(signal.SIGTERM)
        _log.info("supervisor.stopping", children=self._left(), grace_seconds=self._grace)
        while self._left() and self._clock() - began < self._grace:
            self._reap()
            time.sleep(POLL / 4)
        if self._left():
            _log.warning("supervisor.killed_children", children=self._left())
            self._signal(signal.SIGKILL)
            while self._left():
                self._reap()
                time.sleep(POLL / 4)
        _log.info("supervisor.stopped", seconds=round(self._clock() - began, 2))

    def _left(self) -> int:
        return sum(child.process is not None for child in self._children)

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.process is not None:
                child.process.send_signal(number)

    def _reap(self) -> None:
        self.beat = self._clock()
        for child in self._children:
            if child.process is not None and (status := child.process.poll()) is not None:
                _log.info("child.ended", role=child.role, pid=child.process.pid, **_cause(status))
                self._reaped(child.process.pid)
                child.process = None


def environment(role: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: without the secrets that its role does not use."""
    given = dict(environ)
    _settle_redis_user(role, given)
    for name in set(_STORE_SECRETS) - set(_STORES_USED_BY.get(role, ())):
        given.pop(name, None)
    for name in _EDGE_SECRETS:
        given.pop(name, None)
        given.pop(f"{name}_FILE", None)
    for name in WITHHELD[role]:
        if given.get(name) or given.pop(f"{name}_FILE", None):
            given[name] = PLACEHOLDERS[name]
    return given


def _settle_redis_user(role: str, given: dict[str, str]) -> None:
    """Leave one Redis URL: the tick's own, if there is one, goes to the tick and to no other."""
    own = {
        name.replace("_TICK", ""): url
        for name in ("SYNAP_TICK_REDIS_URL", "SYNAP_TICK_REDIS_URL_FILE")
        if (url := given.pop(name, ""))
    }
    if role == TICK and own:
        for name in ("SYNAP_REDIS_URL", "SYNAP_REDIS_URL_FILE"):
            given.pop(name, None)
        given.update(own)


def spawn_module(command: list[str], environ: Mapping[str, str], directory: str) -> Spawn:
    """Return what starts `command --queue ROLE` (or `--tick`) as a child of this process.

    Args:
        command: an interpreter and what it runs, such as `python -m workers`.
        environ: this process's environment.
        directory: where prometheus_client keeps the children's metrics.
    """

    def spawn(role: str) -> Process:
        what = ["--tick"] if role == TICK else ["--queue", role]
        given = environment(role, environ) | {"PROMETHEUS_MULTIPROC_DIR": directory}
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *what, "--parent", str(os.getpid())],
            env=given,
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the supervisor alone; it ends its children in order
            start_new_session=True,
        )

    return spawn


def _cause(status: int) -> dict[str, int]:
    """Say how a process ended: its exit status, or the number of the signal that ended it."""
    return {"status": status} if status >= 0 else {"signal": -status}
