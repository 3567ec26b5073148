"""The YAML file changes under running processes: what is right holds soon, what is wrong never."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.build import make_event, signed
from tests.processes import wait_for
from tests.sink import Sink
from tests.system.plant import SHORT, Plant

pytestmark = pytest.mark.timeout(120)

CONFIG = """
alerting:
  route: {{receiver: hook, group_by: ['...'], group_wait: 0s}}
  receivers: [{{name: hook, webhook_configs: [{{url: "{url}/{path}"}}]}}, {{name: idle}}]
"""


class Site:
    """A plant whose configuration is in the test's hands."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.file = folder / "hooks.yaml"
        self.sink = sink
        self.log = folder / "workers.log"
        self.write("first")
        self.plant = Plant(folder, **SHORT, SYNAP_CONFIG=str(self.file))
        self.plant.receiver()
        self.workers = self.plant.start("workers")
        wait_for(lambda: self.logged("worker.started") >= 4, what="the workers")

    def write(self, path: str) -> None:
        """Have alerts go to a path of the sink."""
        self.replace(CONFIG.format(url=self.sink.url, path=path))

    def replace(self, text: str) -> None:
        """Put another file in its place at once."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)

    def logged(self, event: str) -> int:
        """Return how often a line was logged."""
        return self.log.read_text().count(f'"event":"{event}"')

    def send(self, code: str) -> None:
        """Send an event that makes an alert of its own."""
        body, headers = signed(make_event(event_id=f"evt_{code}", data={"error_code": code}))
        answer = httpx2.post(self.plant.url, content=body, headers=headers, timeout=10)
        assert answer.status_code == 202

    def paths(self) -> list[str]:
        """Return where alerts went."""
        return [seen.path for seen in self.sink.seen]


@pytest.fixture
def site(tmp_path: Path, sink: Sink) -> Iterator[Site]:
    """Yield a running service."""
    built = Site(tmp_path, sink)
    yield built
    built.plant.close()


def test_a_changed_file_holds_without_a_restart(site: Site) -> None:
    """A change of the file, and SIGHUP, are heeded by the running processes; a bad file is not."""
    site.send("A")
    site.sink.wait(1)
    wait_for(lambda: site.logged("config.doubtful") == 1, what="the doubt about the file")

    site.write("second")
    wait_for(lambda: site.logged("config.reloaded") >= 1, what="the reload")
    site.send("B")
    site.sink.wait(2)

    site.replace("alerting: {route: {reciever: x}}")
    os.kill(site.workers.process.pid, signal.SIGHUP)
    wait_for(lambda: site.logged("config.refused") >= 1, what="the refusal")
    site.send("C")
    site.sink.wait(3)

    site.write("third")
    os.kill(site.workers.process.pid, signal.SIGHUP)
    wait_for(lambda: site.logged("config.reloaded") >= 4, what="the reload")
    site.send("D")
    site.sink.wait(4)

    assert site.paths() == ["/first", "/second", "/second", "/third"]
    assert site.logged("child.died") == 0
    assert 'did you mean \\"receiver\\"' in site.log.read_text()
