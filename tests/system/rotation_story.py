"""The story of one credential, from Synap's word that it expires to its end.

Everything in it is real but the clock and Synap itself (the sandbox): a signed delivery over
HTTP, the receiver, Redis, RQ workers, a key in a file, two workloads that a command restarts, and
a target that on-call's pages arrive at. `tell` prints the timeline as it happens.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

from receiver import broker, logs
from receiver.logs import Lines
from receiver.settings import ReceiverSettings, load
from receiver.web.app import create_edge
from receiver.web.webhook import DEFAULT_PATH
from tests.build import SECRET, signed
from tests.sandbox.clock import VirtualClock
from tests.sandbox.sandbox import Sandbox
from tests.servers import Served, start_redis
from tests.sink import Sink
from workers import jobs, wiring
from workers.cli import cli
from workers.cli.session import World
from workers.lifeline import Stop
from workers.metrics import WorkerMetrics
from workers.outbound import Outbound
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Live
from workers.rotation.record import Rotation
from workers.rotation.verify import Whoami
from workers.settings import WorkerSettings
from workers.worker import build

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
NAME: Final = "production"
WORKLOADS: Final = ("api", "batch")
FUNCTIONS: Final = (
    jobs.process_events, jobs.flush_groups, jobs.deliver, jobs.advance_rotation,
)  # fmt: skip

CONFIG: Final = """\
alerting:
  route:
    receiver: team
    group_by: [alertname, credential_id, change]
    group_wait: 0s
    group_interval: 1s
    repeat_interval: 30d
  receivers:
    - name: team
      webhook_configs: [{{url: {sink}/team}}]
rotation:
  credentials:
    - name: production
      mode: automatic
      match: {{credential_id: key_production}}
      stores: [{{type: file, path: key}}]
      rollout:
        type: command
        command: [{python}, {restart}, {folder}]
        state_dir: rollout
        waves: [api, batch]
"""

RESTART: Final = """\
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
name = os.environ["SYNAP_HOOKS_WAVE"]
key = (folder / "key").read_text()
with (folder / f"{name}.env").open("a") as environment:
    environment.write(key + "\\n")
"""
"""What stands for a deployment: the workload starts anew and reads the store once."""

Say = Callable[[str], None]


class Story:
    """The stage, and what can be done on it."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder, self.say = folder, say
        self.clock = VirtualClock(float(int(time.time())))
        self.began = self.clock()
        self.redis = start_redis()
        self.sink = Sink()
        self.synap = Sandbox(clock=self.clock)
        self.old = self.synap.issue_key("production")
        self._told = self._lines = 0
        (folder / "key").write_text(self.old)
        (folder / "restart.py").write_text(RESTART)
        (folder / "rollout").mkdir()
        for name in WORKLOADS:
            (folder / f"{name}.env").write_text(self.old + "\n")
        self.environ = self._environ()
        self._edge = self._receive()
        self.url = f"{self._edge.url}{DEFAULT_PATH}"
        self._work()

    def _environ(self) -> dict[str, str]:
        config = self.folder / "config.yaml"
        text = CONFIG.format(
            sink=self.sink.url,
            python=sys.executable,
            restart=self.folder / "restart.py",
            folder=self.folder,
        )
        config.write_text(text)
        return {
            "SYNAP_REDIS_URL": self.redis.url,
            "SYNAP_WEBHOOK_SECRET": SECRET,
            "SYNAP_CONFIG": str(config),
            "SYNAP_API_URL": self.synap.url,
            "USER": "dana",
        }

    def _receive(self) -> Served:
        settings = load(ReceiverSettings, self.environ)
        edge = create_edge(settings, Lines(io.BytesIO()), clock=self.clock)
        return Served(edge.app)

    def _work(self) -> None:
        settings = load(WorkerSettings, self.environ)
        self._client = broker.connect(settings)
        self._metrics = WorkerMetrics(CollectorRegistry())
        app = wiring.build(settings, self._client, self._metrics, clock=self.clock)
        machine = app.rotations.machine
        # Redis' own clock cannot be moved, so here the story's clock is the authority
        machine = replace(machine, world=replace(machine.world, authority=self.clock))
        self.app = replace(app, rotations=replace(app.rotations, machine=machine))
        wiring.install(self.app)

    def close(self) -> None:
        """End everything."""
        self._edge.close()
        self.synap.close()
        self.app.rotations.close()
        self._client.close()
        self.sink.close()
        self.redis.close()

    def deliver(self, event_type: str, data: dict[str, Any]) -> int:
        """Deliver an event as Synap does, and return the status."""
        body, headers = signed(self.synap.event(event_type, data))
        answer = httpx2.post(self.url, content=body, headers=headers)
        return answer.status_code

    def wait(self, seconds: float) -> None:
        """Let time pass, and let the service do whatever comes due meanwhile."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.settle()
            rotation = self.rotation()
            due = rotation.due_at if rotation else until
            self.clock.advance(max(1.0, min(due, until) - self.clock()))
        self.settle()

    def settle(self) -> None:
        """Tick and work until nothing is due any more."""
        for sweep in self.app.sweeps.values():
            sweep(self.clock())
        for _ in range(20):
            for source in self.app.sources.values():
                source(self.clock())
            if not self._burst():
                break
        self._report()

    def _burst(self) -> bool:
        worked = False
        for queue in ("events", "rotation", "notifications"):
            if self._client.llen(f"rq:queue:{queue}"):
                with self.redis.client() as own:
                    worker = build(queue, own, FUNCTIONS, self._metrics, Stop())
                    worked = worker.work(burst=True, logging_level=None) or worked
        return worked

    def rotation(self) -> Rotation | None:
        """Return the rotation under way."""
        return self.app.rotations.book.active(NAME)

    def person(self, *words: str, stdin: str = "") -> str:
        """Let a person type a command, and return what it printed."""
        shown = f" < key ({len(stdin)} characters)" if stdin else ""
        self.note("dana", f"$ synap-hooks rotation {' '.join(words)}{shown}")
        world = World(environ=self.environ, clock=self.clock)
        result = CliRunner().invoke(cli, ["rotation", *words], obj=world, input=stdin)
        for line in result.output.splitlines():
            self.note("", f"  {line}")
        assert result.exit_code == 0, result.output
        return str(result.output)

    def serving(self, workload: str) -> bool:
        """Say whether a workload's calls reach Synap with the key that it started with."""
        key = (self.folder / f"{workload}.env").read_text().split()[-1]
        outbound = Outbound()
        try:
            return isinstance(
                Whoami(outbound, self.synap.url, self.clock).whoami(Secret(key)), Live
            )
        finally:
            outbound.close()

    def restarts(self, workload: str) -> int:
        """Return how often a workload was restarted."""
        return len((self.folder / f"{workload}.env").read_text().split()) - 1

    def note(self, who: str, text: str) -> None:
        """Add a line to the timeline."""
        since = int(self.clock() - self.began)
        at = f"T+{since // 3600:02d}:{since // 60 % 60:02d}:{since % 60:02d}"
        self.say(f"{at}  {who:<11} {text}")

    def _report(self) -> None:
        """Say what the rotation went through since the last look, and what on-call was told."""
        book = self.app.rotations.book
        lines = [line for one in book.newest(1) for line in book.history(one.id)]
        for line in lines[self._lines :]:
            if line.source != line.target:
                at = f"{line.source or 'begun'} -> {line.target}"
                self.note("rotation", f"{at:<28} {line.detail}".rstrip())
        self._lines = len(lines)
        seen = self.sink.seen
        for request in seen[self._told :]:
            for alert in request.json["alerts"]:
                labels = alert["labels"]
                word = "resolved" if alert["status"] == "resolved" else labels["severity"]
                text = f"[{word}] {labels['alertname']}: {alert['annotations']['summary']}"
                self.note("on-call", text)
        self._told = len(seen)


@contextmanager
def staged(folder: Path, say: Say) -> Iterator[Story]:
    """Yield a stage, and clear it away."""
    story = Story(folder, say)
    try:
        yield story
    finally:
        story.close()


def tell(story: Story) -> Rotation:
    """Play the whole story on a stage; return the rotation as it ended."""
    story.note("synap", "credential.expiring: key_production, 9 days left")
    status = story.deliver(
        "credential.expiring",
        {"credential_id": "key_production", "credential_type": "api_key", "days_remaining": 9},
    )
    assert status == 202
    story.settle()
    begun = story.rotation()
    assert begun is not None
    _to(story, begun, "awaiting_key")

    new = story.synap.issue_key("production-rot")
    story.note("dana", "makes a key in the Dashboard")
    story.person("submit", begun.short, stdin=new)
    _to(story, begun, "overlap")
    for name in WORKLOADS:
        assert story.serving(name)
        story.note(name, f"serves with the new key after {story.restarts(name)} restart")

    story.note("", "... 48 h ...")
    story.wait(48 * HOUR + 60)
    _to(story, begun, "revoking")
    story.synap.revoke_key(story.old)
    story.note("dana", "revokes the old key in the Dashboard")
    story.wait(5 * 60)
    story.settle()
    end = story.app.rotations.book.read(begun.id)
    assert end is not None
    return end


def _to(story: Story, begun: Rotation, state: str) -> None:
    """Wait until the rotation is in a state."""
    for _ in range(200):
        story.settle()
        found = story.rotation()
        assert found is not None
        if found.state == state:
            return
        story.wait(max(1.0, found.due_at - story.clock()))
    raise AssertionError(f"{begun.short} never came to {state}")


def main() -> None:
    """Play the story in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder), print) as story:
        tell(story)


if __name__ == "__main__":
    logs.configure("error", "json")
    main()
