"""From nothing to a first page, as the README says it, with real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.build import SECRET
from tests.processes import wait_for
from tests.servers import ROOT
from tests.sink import Sink
from tests.system.plant import Plant

pytestmark = pytest.mark.timeout(120)

KEY = "c4naryc4naryc4naryc4naryc4nary00"


class OnCall:
    """A person with a shell, a configuration to start from, and a PagerDuty to be paged by."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.sink = sink
        self.folder = folder
        self.plant = Plant(folder, SYNAP_CONFIG=str(folder / "hooks.yaml"), USER="dana")
        sink.answer(202, b'{"status":"success","message":"ok","dedup_key":"d"}')
        sink.answer(200, b"ok", path="/chat")

    def types(self, *arguments: str) -> str:
        """Type a command; return what it printed."""
        ended = subprocess.run(
            [sys.executable, "-c", "import workers.cli; workers.cli.main()", *arguments],
            cwd=ROOT,
            env=self.plant.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def reads(self, *arguments: str) -> Any:
        """Type a command with `--json`; return its document."""
        return orjson.loads(self.types(*arguments, "--json"))

    def writes_configuration(self) -> str:
        """Write the example to a file, with its secrets beside it and PagerDuty here."""
        example = self.types("check-config", "--example")
        (self.folder / "pagerduty-routing-key").write_text(KEY)
        (self.folder / "slack-webhook-url").write_text(f"{self.sink.url}/chat")
        text = example.replace("/run/secrets/", f"{self.folder}/").replace(
            "  global:\n", f"  global:\n    pagerduty_url: {self.sink.url}/v2/enqueue\n"
        )
        file = self.folder / "hooks.yaml"
        file.write_text(text)
        return str(file)

    def paged(self) -> list[str]:
        """Return what PagerDuty was asked to do, in order."""
        seen = [request for request in self.sink.seen if request.path == "/v2/enqueue"]
        return [request.json["event_action"] for request in seen]


@pytest.fixture
def on_call(tmp_path: Path, sink: Sink) -> Iterator[OnCall]:
    """Yield a person on call, with a Redis and nothing else running."""
    person = OnCall(tmp_path, sink)
    yield person
    person.plant.close()


def test_from_nothing_to_a_first_page(on_call: OnCall) -> None:
    """Example, check, routes, workers, drill, samples, explanation: each step works."""
    file = on_call.writes_configuration()
    on_call.types("check-config", file, "--strict")
    routed = on_call.reads(
        "routes", "test", "alertname=SynapIngestionBurst", "event_type=ingestion.failed"
    )
    assert routed == {"receivers": ["on-call"]}
    on_call.plant.start("workers")
    on_call.plant.receiver()

    [target] = on_call.reads("drill", "on-call")["targets"]
    assert (target["target"], target["told"], target["ended"]) == (
        "on-call/pagerduty/0",
        True,
        True,
    )
    assert on_call.paged() == ["trigger", "resolve"]

    secret = on_call.folder / "secret"
    secret.write_text(SECRET)
    on_call.types("send", on_call.plant.url, "--secret-file", str(secret))
    wait_for(
        lambda: any(request.path == "/v2/change/enqueue" for request in on_call.sink.seen),
        seconds=30,
        what="the change event",
    )
    found = on_call.reads("alerts", "list", "event_type=ingestion.failed")["alerts"]
    assert [alert["group"]["receiver"] for alert in found] == ["team"]
    story = on_call.reads("alerts", "explain", found[0]["id"])
    assert story["receivers"] == ["team"]
    assert KEY not in on_call.types("history")
