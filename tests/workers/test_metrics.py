"""Metrics: declared once, present from the start, true whoever moved them, whoever died."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from receiver.broker import QUEUES
from receiver.event import KINDS
from receiver.settings import load
from tests.servers import ROOT
from workers import jobs, metrics, wiring
from workers.alerting import notifiers
from workers.exposition import Exposition
from workers.gauges import CACHED_SECONDS, StoreCollector
from workers.ledger.transitions import Verdict
from workers.metrics import (
    JOB_FUNCTIONS,
    Delivery,
    Outcome,
    Snapshot,
    SupervisorMetrics,
    WorkerMetrics,
    declared,
)
from workers.outbound import Reason
from workers.processing import OUTCOMES
from workers.settings import WorkerSettings

MOVING = """
import os
from prometheus_client import CollectorRegistry
from workers.metrics import WorkerMetrics

metrics = WorkerMetrics(CollectorRegistry())
metrics.jobs_refused.labels("function").inc(3)
metrics.handler_seconds.labels("unknown").observe(0.2)
"""
FORKING = (
    MOVING
    + """
if os.fork() == 0:
    metrics.jobs_refused.labels("function").inc(4)
    os._exit(0)
os.wait()
"""
)
REFUSED = ("synap_hooks_jobs_refused_total", "function")


def samples(text: bytes) -> Mapping[tuple[str, ...], float]:
    """Return the value of each sample, by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def moved(folder: Path, text: str = MOVING) -> int:
    """Run a process that moves metrics; return its pid, when it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
    )
    assert process.wait(20) == 0
    return process.pid


def test_every_label_starts_at_zero() -> None:
    """A dashboard sees each series before its first event."""
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    SupervisorMetrics(registry)

    values = samples(generate_latest(registry))

    for kind in KINDS:
        assert values["synap_hooks_handler_seconds_count", kind] == 0
        for outcome in Outcome:
            assert values["synap_hooks_handled_total", outcome.value, kind] == 0
    for function in JOB_FUNCTIONS:
        assert values["synap_hooks_jobs_failed_total", function] == 0
    for queue in (*QUEUES, "tick"):
        assert values["synap_hooks_worker_restarts_total", queue] == 0


def test_labels_are_those_of_the_code() -> None:
    """Verdicts, reasons, targets and job functions are the labels that start at zero."""
    functions = {name for name in vars(jobs) if inspect.isfunction(vars(jobs)[name])}

    assert set(OUTCOMES) == set(Verdict)
    assert {reason.value for reason in Reason} <= set(Delivery)
    assert set(metrics.TARGETS) == set(notifiers.TARGETS)
    assert set(JOB_FUNCTIONS) == functions - {"get_current_job"}


def test_sources_of_the_tick_are_known(redis: Redis) -> None:
    """Whatever the tick runs has a series of failures from the start."""
    app = wiring.build(load(WorkerSettings, {}), redis, WorkerMetrics(CollectorRegistry()))

    assert {"lease", *app.sources, *app.sweeps} == set(metrics.TICK_SOURCES)


def test_everything_declared_has_words() -> None:
    """Every metric bears the product's name and says what it means."""
    found = declared()

    assert all(name.startswith("synap_hooks_") for name in found)
    assert all(text.endswith(".") for text in found.values())


def test_snapshot_is_shown() -> None:
    """What Redis holds appears by label; what it does not name is zero."""
    snapshot = Snapshot(
        queue_depth={"events": 3},
        oldest_age={"unknown": 1.5},
        held={"default": 2},
        accepted={"unknown": 7},
        quarantined={"stale": 2},
    )
    registry = CollectorRegistry()
    registry.register(StoreCollector(lambda _: snapshot, lambda: 0.0))

    values = samples(generate_latest(registry))

    assert values["synap_hooks_redis_up",] == 1
    assert values["synap_hooks_queue_depth", "events"] == 3
    assert values["synap_hooks_queue_depth", "rotation"] == 0
    assert values["synap_hooks_oldest_age_seconds", "unknown"] == 1.5
    assert values["synap_hooks_quarantine_held", "default"] == 2
    assert values["synap_hooks_ledger_accepted_total", "unknown"] == 7
    assert values["synap_hooks_ledger_quarantined_total", "stale"] == 2
    assert values["synap_hooks_unaccounted", "unknown"] == 0


def test_snapshot_is_cached() -> None:
    """However often it is scraped, Redis is read at most once in two seconds."""
    read: list[float] = []
    now = [10.0]

    def take(at: float) -> Snapshot:
        read.append(at)
        return Snapshot()

    collector = StoreCollector(take, lambda: now[0])
    for _ in range(3):
        list(collector.collect())
    now[0] += CACHED_SECONDS
    list(collector.collect())

    assert read == [10.0, 12.0]


def test_absent_redis_is_no_guess() -> None:
    """While Redis is away its gauges are absent, and that is said."""

    def take(_: float) -> Snapshot:
        raise RedisConnectionError

    registry = CollectorRegistry()
    registry.register(StoreCollector(take, lambda: 0.0))

    assert samples(generate_latest(registry)) == {("synap_hooks_redis_up",): 0.0}


def test_children_are_summed(tmp_path: Path) -> None:
    """What several processes counted appears as one number."""
    exposition = Exposition(tmp_path)
    moved(tmp_path)
    moved(tmp_path)

    assert samples(exposition.render())[REFUSED] == 6


def test_dead_child_is_folded(tmp_path: Path) -> None:
    """What a dead child counted stays counted, though its files are gone."""
    exposition = Exposition(tmp_path)

    for _ in range(3):
        exposition.forget(moved(tmp_path))

    values = samples(exposition.render())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_0.db", "histogram_0.db"]
    assert values[REFUSED] == 9
    assert values["synap_hooks_handler_seconds_count", "unknown"] == 3
    assert values["synap_hooks_handler_seconds_bucket", "0.5", "unknown"] == 3
    assert values["synap_hooks_handler_seconds_bucket", "0.1", "unknown"] == 0


def test_grandchild_is_folded(tmp_path: Path) -> None:
    """The process of a single job is counted and leaves no file, though nobody reports its end."""
    exposition = Exposition(tmp_path)
    moved(tmp_path, FORKING)

    values = samples(exposition.render())

    assert values[REFUSED] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_0.db", "histogram_0.db"]


def test_living_child_keeps_its_files(tmp_path: Path) -> None:
    """Files of a process that lives are left alone."""
    exposition = Exposition(tmp_path)
    pid = moved(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace(str(pid), str(os.getpid())))
    (tmp_path / f"counter_{os.getpid()}.db").rename(tmp_path / "counter_1.db")

    exposition.render()

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "counter_1.db",
        f"histogram_{os.getpid()}.db",
    ]
