"""A configuration that is read again while the process runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from receiver.errors import SettingsError
from workers.live import Live
from workers.metrics import WorkerMetrics


class Desk:
    """A file, what reads it, and a clock that tests move."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = time.time()
        self.asked = 0
        self.loads = 0
        self.registry = CollectorRegistry()
        self.write("one")
        self.live = Live(
            self.load,
            path,
            WorkerMetrics(self.registry),
            asked=lambda: self.asked,
            clock=lambda: self.now,
        )

    def load(self) -> str:
        """Read the file; a text with `bad` in it has problems."""
        self.loads += 1
        text = self.path.read_text()
        if "bad" in text:
            raise SettingsError([f"{self.path.name}:1: {text}"])
        return text

    def write(self, text: str) -> None:
        """Put another file in its place, as Kubernetes and careful editors do."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)

    def later(self) -> str:
        """Return what holds a look later, when what was written rests."""
        self.now = max(self.now, time.time()) + 1.5
        return self.live.current()

    def counted(self, result: str) -> float | None:
        """Return how many changes had this result."""
        return self.registry.get_sample_value(
            "synap_hooks_config_reloads_total", {"result": result}
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a desk with a file on it."""
    return Desk(tmp_path / "hooks.yml")


def test_a_changed_file_is_read(desk: Desk) -> None:
    """What stands in the file holds a moment after it changed."""
    desk.write("two")

    assert desk.live.current() == "one"
    assert desk.later() == "two"
    assert desk.counted("loaded") == 1


def test_a_file_that_stays_is_not_read_again(desk: Desk) -> None:
    """Looking is cheap: a file that is as it was is left alone."""
    for _ in range(5):
        desk.later()

    assert desk.loads == 1


def test_a_file_that_is_being_written_is_left_until_it_rests(desk: Desk) -> None:
    """What may be half a file is not read."""
    desk.write("tw")
    os.utime(desk.path, (desk.now + 1.4, desk.now + 1.4))
    first = desk.later()
    desk.write("two")
    os.utime(desk.path, (desk.now + 0.4, desk.now + 0.4))

    assert (first, desk.later()) == ("one", "two")


def test_a_bad_file_changes_nothing(desk: Desk) -> None:
    """What has problems is reported with each of them; what held goes on, and the next is read."""
    desk.write("bad")

    with capture_logs() as lines:
        kept = desk.later()
    desk.write("three")

    assert kept == "one"
    assert [(line["event"], line["problems"]) for line in lines] == [
        ("config.refused", ["hooks.yml:1: bad"])
    ]
    assert desk.counted("refused") == 1
    assert desk.later() == "three"


def test_a_bad_file_is_reported_once(desk: Desk) -> None:
    """The same bad file is not read over and over."""
    desk.write("bad")
    for _ in range(5):
        desk.later()

    assert desk.counted("refused") == 1


def test_a_file_that_vanished_changes_nothing(desk: Desk) -> None:
    """While the file is away what held goes on; when it is back it is read."""
    desk.path.unlink()
    desk.live._load = lambda: (_ for _ in ()).throw(SettingsError(["gone"]))
    kept = desk.later()
    desk.live._load = desk.load
    desk.write("back")

    assert (kept, desk.later()) == ("one", "back")


def test_a_request_is_heeded_at_once(desk: Desk) -> None:
    """A reload that is asked for does not wait for the file to rest."""
    desk.write("two")
    desk.asked += 1

    assert desk.live.current() == "two"


def test_without_a_file_a_request_reads_what_there_is() -> None:
    """Nothing to watch: what is there is read when somebody asks."""
    asked = 0
    texts = iter(["one", "two"])
    live = Live(lambda: next(texts), None, WorkerMetrics(CollectorRegistry()), asked=lambda: asked)
    first = live.current()
    asked = 1

    assert (first, live.current()) == ("one", "two")


def test_a_bad_file_at_the_start_is_raised(tmp_path: Path) -> None:
    """With nothing to fall back on, the problems end the start."""
    path = tmp_path / "hooks.yml"
    path.write_text("bad")

    def load() -> str:
        raise SettingsError(["bad"])

    with pytest.raises(SettingsError):
        Live(load, path, WorkerMetrics(CollectorRegistry()))
