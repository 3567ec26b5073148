"""`python -m workers` as a whole."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from redis import Redis

from receiver.broker import EVENTS, NOTIFICATIONS
from tests.servers import Module, RedisServer, free_port, start_redis, wait_for
from tests.workers.probe import push
from workers.metrics import declared

Start = Callable[..., "Running"]


class Running:
    """A supervisor with its children, and what it says."""

    def __init__(self, environ: Mapping[str, str], log: Path, *arguments: str) -> None:
        self.port = free_port()
        given = {
            "SYNAP_HOST": "127.0.0.1",
            "SYNAP_WORKERS_ADMIN_PORT": str(self.port),
            "SYNAP_WORKERS": "events=1,notifications=1",
            "SYNAP_HANDLER_TIMEOUT": "2s",
            "SYNAP_GRACE_PERIOD": "5s",
            **environ,
        }
        self.module = Module("workers", *arguments, environ=given, log=log)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except urllib.error.URLError:
            return 0, ""

    def ready(self) -> bool:
        """Say whether it is ready."""
        return self.get("/readyz")[0] == 200

    def checks(self) -> dict[str, str]:
        """Return what readiness says; nothing while nobody listens."""
        body = self.get("/readyz")[1]
        checks: dict[str, str] = json.loads(body)["checks"] if body else {}
        return checks

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return what it logged of an event."""
        texts = self.module.log.read_text().splitlines()
        lines = [json.loads(text) for text in texts if text.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def pid(self, role: str) -> int:
        """Return the pid of the child of a role that was started last."""
        started = wait_for(lambda: self.lines("child.started"), what="a child")
        return int([line["pid"] for line in started if line["role"] == role][-1])


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Yield a function that starts the workers on the suite's Redis."""
    running: list[Running] = []

    def run(*arguments: str, **environ: str) -> Running:
        environ = {"SYNAP_REDIS_URL": redis_url, **environ}
        running.append(Running(environ, tmp_path / f"log-{len(running)}", *arguments))
        return running[-1]

    yield run
    for one in running:
        if one.module.alive:
            one.module.stop()


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """Yield a Redis that the test may kill."""
    server = start_redis()
    yield server
    server.close()


def value(text: str, name: str, **labels: str) -> float:
    """Return the value of one sample of a scrape."""
    return next(
        sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )


def gone(pid: int) -> bool:
    """Say whether no such process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_everything_declared_is_exposed(start: Start) -> None:
    """Once ready, a scrape shows every metric of the workers, and nothing undeclared."""
    workers = start()
    wait_for(workers.ready, what="readiness")

    families = {family.name: family for family in parse(workers.get("/metrics")[1])}

    names = {
        name + ("_total" if family.type == "counter" else "") for name, family in families.items()
    }
    assert names == set(declared())


def test_forged_job_is_refused(start: Start, redis: Redis, tmp_path: Path) -> None:
    """The real worker refuses a job that names os.system, counts it and lives on."""
    workers = start()
    wait_for(workers.ready, what="readiness")
    marker = tmp_path / "ran"

    push(redis, "os.system", [f"touch {marker}"])

    (line,) = wait_for(lambda: workers.lines("job.refused"), what="the refusal")
    count = value(workers.get("/metrics")[1], "synap_hooks_jobs_refused_total", reason="function")
    assert (line["job_id"], line["reason"], count) == ("job-1", "function", 1)
    assert not marker.exists()
    assert workers.ready()


def test_killed_child_comes_back(start: Start) -> None:
    """A worker killed by the kernel is replaced, which is counted, and readiness returns."""
    workers = start()
    wait_for(workers.ready, what="readiness")
    pid = workers.pid(EVENTS)

    os.kill(pid, signal.SIGKILL)

    wait_for(lambda: workers.pid(EVENTS) != pid, what="another worker")
    wait_for(workers.ready, what="readiness")
    restarts = value(workers.get("/metrics")[1], "synap_hooks_worker_restarts_total", queue=EVENTS)
    assert restarts == 1


def test_sigterm_ends_all(start: Start, redis: Redis) -> None:
    """SIGTERM ends every process, releases the tick's lease and yields status 0."""
    workers = start()
    wait_for(workers.ready, what="readiness")
    pids = [workers.pid(role) for role in (EVENTS, NOTIFICATIONS, "tick")]

    status = workers.module.stop()

    assert status == 0
    assert all(gone(pid) for pid in pids)
    assert redis.exists("synap:tick") == 0
    assert redis.smembers("rq:workers") == set()


def test_children_die_with_the_supervisor(start: Start) -> None:
    """Killing the supervisor leaves no child behind."""
    workers = start()
    wait_for(workers.ready, what="readiness")
    pids = [workers.pid(role) for role in (EVENTS, NOTIFICATIONS, "tick")]

    workers.module.kill()

    wait_for(lambda: all(gone(pid) for pid in pids), seconds=10, what="their end")


def test_second_tick_takes_over(start: Start, redis: Redis) -> None:
    """Two supervisors have one leading tick; when the first is killed the other leads."""
    first = start(SYNAP_WORKERS="events=0", SYNAP_TICK_LEASE="2s")
    wait_for(lambda: redis.get("synap:tick"), what="the lease")
    holder = redis.get("synap:tick")
    second = start(SYNAP_WORKERS="events=0", SYNAP_TICK_LEASE="2s")
    wait_for(second.ready, what="readiness")
    before = redis.get("synap:tick")

    os.kill(first.pid("tick"), signal.SIGKILL)
    first.module.kill()

    assert before == holder
    wait_for(lambda: redis.get("synap:tick") not in {None, holder}, seconds=10, what="takeover")


def test_absent_redis_is_no_error(mortal: RedisServer, start: Start) -> None:
    """Workers start without Redis, say what is missing, and become ready when it is there."""
    mortal.kill()
    workers = start(SYNAP_REDIS_URL=mortal.url)
    wait_for(lambda: workers.get("/livez")[0] == 200, what="liveness")
    without = workers.checks()
    time.sleep(1)

    mortal.start()
    wait_for(workers.ready, what="readiness")

    assert without == {"supervisor": "ok", "redis": "ConnectionError"}
    assert workers.lines("child.died") == []


def test_problems_are_all_told(start: Start) -> None:
    """Wrong settings end it with status 2 and one line per problem, without a traceback."""
    workers = start(SYNAP_WORKERS="event=1", SYNAP_LEASE="soon", SYNAP_API_KEY="canary")

    status = workers.module.process.wait(20)

    said = workers.module.log.read_text().splitlines()
    assert (status, said[0]) == (2, "The workers cannot start:")
    assert [line.partition(":")[0] for line in said[1:]] == ["  SYNAP_WORKERS", "  SYNAP_LEASE"]
    assert "canary" not in "".join(said)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Return a YAML file with a problem in its line 3."""
    file = tmp_path / "hooks.yaml"
    file.write_text("alerting:\n  route:\n    receiver: nobody\n  receivers: []\n")
    return file


def test_problems_of_environment_and_document_are_told_together(
    start: Start, document: Path
) -> None:
    """Wrong settings and a wrong YAML file end it once, with one list of all that is wrong."""
    workers = start(SYNAP_LEASE="soon", SYNAP_CONFIG=str(document))

    status = workers.module.process.wait(20)

    said = workers.module.log.read_text().splitlines()
    assert (status, said[0]) == (2, "The workers cannot start:")
    assert said[1].startswith("  SYNAP_LEASE: ")
    assert said[2:] == [f'  {document}:3: undefined receiver "nobody" used in route']


def test_document_is_checked_before_any_child(start: Start, document: Path) -> None:
    """A wrong YAML file ends it with status 2 and names the line, before anything is started."""
    workers = start(SYNAP_CONFIG=str(document))

    assert workers.module.process.wait(20) == 2
    said = workers.module.log.read_text()
    assert "nobody" in said
    assert "child.started" not in said


def test_taken_port_is_told(start: Start) -> None:
    """A port that another process holds is a problem of the settings, not a traceback."""
    first = start(SYNAP_WORKERS="events=0")
    wait_for(lambda: first.get("/livez")[0] == 200, what="liveness")

    second = start(SYNAP_WORKERS="events=0", SYNAP_WORKERS_ADMIN_PORT=str(first.port))

    assert second.module.process.wait(20) == 2
    assert "SYNAP_WORKERS_ADMIN_PORT: cannot listen" in second.module.log.read_text()
