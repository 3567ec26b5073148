"""The supervisor keeps its children running, and ends them in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from receiver.broker import EVENTS, NOTIFICATIONS, QUEUES, ROTATION
from tests.servers import wait_for
from workers.lifeline import Stop
from workers.metrics import TICK, SupervisorMetrics
from workers.supervisor import (
    LIVED,
    LONGEST_PAUSE,
    PLACEHOLDERS,
    WITHHELD,
    Process,
    Supervisor,
    environment,
    spawn_module,
)

PATIENT = "import time\ntime.sleep(60)\n"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n"
TELLING = """
import os, pathlib, sys, time
told = [*sys.argv[2:], os.environ["PROMETHEUS_MULTIPROC_DIR"]]
pathlib.Path(sys.argv[1]).write_text(" ".join(told))
time.sleep(60)
"""


class FakeProcess:
    """A process that ends when it is told to."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self.hangups = 0

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, sig: int, /) -> None:
        if sig == signal.SIGHUP:
            self.hangups += 1
        else:
            self.status = -sig


class Bench:
    """A supervisor whose children and clock are in the test's hands."""

    def __init__(self, roles: Mapping[str, int]) -> None:
        self.now = 100.0
        self.born: list[tuple[str, FakeProcess]] = []
        self.reaped: list[int] = []
        self.refuse = False
        self.hangups = 0
        self.metrics = SupervisorMetrics(CollectorRegistry())
        self.supervisor = Supervisor(
            roles,
            spawn=self._spawn,
            metrics=self.metrics,
            reaped=self.reaped.append,
            grace=5,
            hangups=lambda: self.hangups,
            clock=lambda: self.now,
        )

    def _spawn(self, role: str) -> Process:
        if self.refuse:
            raise BlockingIOError
        process = FakeProcess(1_000 + len(self.born))
        self.born.append((role, process))
        return process

    def die(self, status: int = -9) -> None:
        """End the youngest child and look after it."""
        self.born[-1][1].status = status
        self.supervisor.step()

    def wait_for_birth(self) -> float:
        """Return the seconds until the next child is started."""
        began, count = self.now, len(self.born)
        while len(self.born) == count:
            self.now += 0.1
            self.supervisor.step()
        return round(self.now - began, 1)


def run(supervisor: Supervisor, stop: Stop) -> threading.Thread:
    """Run a supervisor in a thread. Its children are not bound to it, unlike in production."""
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    return thread


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., tuple[Supervisor, Stop, threading.Thread]]]:
    """Yield a function that runs a supervisor of real processes, each running a text."""
    running: list[tuple[Stop, threading.Thread]] = []

    def start(text: str, *, grace: float = 5) -> tuple[Supervisor, Stop, threading.Thread]:
        script = tmp_path / "child.py"
        script.write_text(text)
        supervisor = Supervisor(
            {EVENTS: 1},
            spawn=spawn_module([sys.executable, str(script)], os.environ, str(tmp_path)),
            metrics=SupervisorMetrics(CollectorRegistry()),
            reaped=lambda _: None,
            grace=grace,
        )
        stop = Stop()
        running.append((stop, run(supervisor, stop)))
        wait_for(lambda: supervisor.pids(EVENTS), what="the child")
        return supervisor, *running[-1]

    yield start
    for stop, thread in running:
        stop.requested = True
        thread.join()


def test_every_place_is_filled() -> None:
    """There are as many processes of each role as was asked for; none of a role with none."""
    bench = Bench({EVENTS: 2, NOTIFICATIONS: 0, TICK: 1})

    bench.supervisor.step()

    assert [role for role, _ in bench.born] == [EVENTS, EVENTS, TICK]
    assert bench.supervisor.roles == (EVENTS, TICK)
    assert (bench.supervisor.alive(EVENTS), bench.supervisor.alive(NOTIFICATIONS)) == (2, 0)


def test_pause_grows_and_is_bounded() -> None:
    """A child that keeps dying young is started after pauses that double up to 30 s."""
    bench = Bench({EVENTS: 1})
    bench.supervisor.step()
    pauses = []

    for _ in range(8):
        bench.die()
        pauses.append(bench.wait_for_birth())

    assert pauses[:6] == pytest.approx([0.5, 1, 2, 4, 8, 16], abs=0.11)
    assert pauses[6:] == pytest.approx([LONGEST_PAUSE] * 2, abs=0.11)
    assert bench.metrics.restarts.labels(EVENTS)._value.get() == 8


def test_long_life_is_forgiven() -> None:
    """A child that lived a while is started again at once after its next death."""
    bench = Bench({EVENTS: 1})
    bench.supervisor.step()
    for _ in range(4):
        bench.die()
        bench.wait_for_birth()
    bench.now += LIVED

    bench.die()

    assert bench.wait_for_birth() == pytest.approx(0.5, abs=0.11)


def test_death_is_told() -> None:
    """A death is one line that says who, why and when the next is started."""
    bench = Bench({EVENTS: 1})
    bench.supervisor.step()

    with capture_logs() as lines:
        bench.now += 3
        bench.die(status=1)

    assert lines == [
        {
            "event": "child.died",
            "log_level": "warning",
            "role": EVENTS,
            "pid": 1_000,
            "status": 1,
            "lived_seconds": 3.0,
            "restart_in_seconds": 0.5,
        }
    ]
    assert bench.reaped == [1_000]


def test_failed_start_is_tried_again() -> None:
    """A machine without room for a process now may have it later."""
    bench = Bench({EVENTS: 1})
    bench.refuse = True

    with capture_logs() as lines:
        bench.supervisor.step()
        bench.refuse = False
        waited = bench.wait_for_birth()

    assert [line["event"] for line in lines] == ["child.not_started", "child.started"]
    assert waited == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize(
    ("role", "arguments"),
    [
        pytest.param(EVENTS, ["--queue", EVENTS], id="queue"),
        pytest.param(TICK, ["--tick"], id="tick"),
    ],
)
def test_child_is_told_its_role(tmp_path: Path, role: str, arguments: list[str]) -> None:
    """A child learns its role, its parent and where its metrics go."""
    script, told = tmp_path / "child.py", tmp_path / "told"
    script.write_text(TELLING)
    spawn = spawn_module([sys.executable, str(script), str(told)], os.environ, str(tmp_path))

    process = spawn(role)

    wait_for(lambda: told.exists() and told.read_text(), what="the child")
    process.send_signal(signal.SIGKILL)
    wait_for(lambda: process.poll() is not None, what="its end")
    assert told.read_text().split() == [*arguments, "--parent", str(os.getpid()), str(tmp_path)]


def test_killed_child_comes_back(
    supervise: Callable[..., tuple[Supervisor, Stop, threading.Thread]],
) -> None:
    """A child killed by the kernel is replaced by another process."""
    supervisor, _, _ = supervise(PATIENT)
    before = supervisor.pids(EVENTS)

    os.kill(before[0], signal.SIGKILL)

    after = wait_for(lambda: [pid for pid in supervisor.pids(EVENTS) if pid not in before])
    assert len(after) == 1


def test_stop_ends_children_in_order(
    supervise: Callable[..., tuple[Supervisor, Stop, threading.Thread]],
) -> None:
    """Asked to stop, the supervisor asks its children and is done when they are."""
    supervisor, stop, thread = supervise(PATIENT)
    pid = supervisor.pids(EVENTS)[0]
    began = time.monotonic()

    stop.requested = True
    thread.join(10)

    assert time.monotonic() - began < 3
    assert (supervisor.stopping, supervisor.alive(EVENTS)) == (True, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_grace_has_an_end(
    supervise: Callable[..., tuple[Supervisor, Stop, threading.Thread]],
) -> None:
    """A child that does not end within the grace period is killed."""
    supervisor, stop, thread = supervise(STUBBORN, grace=0.5)
    time.sleep(0.3)  # until the child ignores the signal

    stop.requested = True
    thread.join(10)

    assert not thread.is_alive()
    assert supervisor.alive(EVENTS) == 0


@pytest.mark.parametrize("role", [*QUEUES, TICK])
def test_role_is_given_no_foreign_secret(role: str) -> None:
    """A child's environment holds no secret that its role does not use."""
    given = environment(
        role,
        {
            "SYNAP_WEBHOOK_SECRET": "canary",
            "SYNAP_WEBHOOK_SECRET_FILE": "/canary",
            "PAGERDUTY_ROUTING_KEY": "canary-pagerduty",
            "SLACK_WEBHOOK_URL_FILE": "/canary-slack",
            "SYNAP_API_KEY": "canary-api",
            "SYNAP_LOG_LEVEL": "info",
        },
    )

    assert given["SYNAP_LOG_LEVEL"] == "info"
    assert not [name for name in given if name.startswith("SYNAP_WEBHOOK_SECRET")]
    for name in WITHHELD[role]:
        assert given[name] == PLACEHOLDERS[name]
        assert f"{name}_FILE" not in given


def test_tick_holds_no_credential() -> None:
    """The tick is given none of the secrets there are."""
    assert set(WITHHELD[TICK]) == set(PLACEHOLDERS)


@pytest.mark.parametrize(
    ("role", "kept"),
    [
        pytest.param(ROTATION, {"AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET"}, id="stores"),
        pytest.param(NOTIFICATIONS, {"AWS_SECRET_ACCESS_KEY"}, id="amazon-takes-alerts"),
        pytest.param(EVENTS, set(), id="events"),
        pytest.param(TICK, set(), id="tick"),
    ],
)
def test_clouds_secrets_go_where_they_are_used(role: str, kept: set[str]) -> None:
    """The secrets that SDKs read by themselves are given to the roles that use those SDKs."""
    secrets = {"AWS_SECRET_ACCESS_KEY": "canary", "AZURE_CLIENT_SECRET": "canary"}

    assert set(environment(role, secrets)) == kept


@pytest.mark.parametrize("ending", ["", "_FILE"])
@pytest.mark.parametrize(
    ("role", "expected"),
    [pytest.param(TICK, "tick's", id="tick"), pytest.param(EVENTS, "own", id="events")],
)
def test_the_tick_may_have_a_redis_user_of_its_own(role: str, expected: str, ending: str) -> None:
    """The tick signs in to Redis as itself, and no worker learns how."""
    urls = {"SYNAP_REDIS_URL": "own", f"SYNAP_TICK_REDIS_URL{ending}": "tick's"}

    given = environment(role, urls)

    assert given == {f"SYNAP_REDIS_URL{ending if role == TICK else ''}": expected}


def test_absent_secret_stays_absent() -> None:
    """No placeholder pretends that a target exists which nobody configured."""
    assert environment(TICK, {"PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_wish_to_reload_is_passed_on_once() -> None:
    """SIGHUP goes on to each child, except to one that was just born and reads what is new."""
    bench = Bench({EVENTS: 1, NOTIFICATIONS: 1})
    bench.supervisor.step()
    (_, first), (_, second) = bench.born
    bench.now += 10
    second.status = 1
    bench.supervisor.step()
    bench.now += 1
    bench.supervisor.step()
    bench.hangups += 1

    bench.supervisor.step()
    bench.supervisor.step()

    assert first.hangups == 1
    assert [process.hangups for _, process in bench.born[1:]] == [0, 0]
