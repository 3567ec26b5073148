"""The configuration guard as processes: a signed event in, an alert out, one command back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build import SECRET
from tests.processes import wait_for
from tests.sandbox import Sandbox, Sender, VirtualClock, http_post
from tests.sandbox.sandbox import CLIENT, INSTANCE
from tests.sink import Sink
from tests.system.plant import SHORT, Plant

CONFIG = """\
alerting:
  route: {{receiver: team, group_by: ["..."], group_wait: 0s, group_interval: 1s}}
  receivers: [{{name: team, webhook_configs: [{{url: "{sink}/team"}}]}}]
guard:
  instances: [{{id: {instance}, llm_window: 8192}}]
"""
OWNER = {"client_id": CLIENT, "triggered_by_user_id": "user_admin_001"}


@pytest.fixture
def plant(tmp_path: Path, sandbox: Sandbox, sink: Sink) -> Iterator[Plant]:
    """Yield a service with a key of the sandbox and one target."""
    config = tmp_path / "hooks.yaml"
    config.write_text(CONFIG.format(sink=sink.url, instance=INSTANCE))
    made = Plant(
        tmp_path,
        **SHORT | {"SYNAP_HANDLER_TIMEOUT": "5s", "SYNAP_LEASE": "10s"},
        SYNAP_CONFIG=str(config),
        SYNAP_API_URL=sandbox.url,
        SYNAP_API_KEY=sandbox.issue_key(),
    )
    yield made
    made.close()


def told(sink: Sink, rule: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what was told of a rule: status and annotations, in order."""
    alerts = [alert for seen in sink.seen for alert in seen.json["alerts"]]
    return [
        (alert["status"], alert["annotations"])
        for alert in alerts
        if alert["labels"].get("rule") == rule
    ]


def command(plant: Plant, *arguments: str) -> dict[str, Any]:
    """Run `synap-hooks` as a process and return its document."""
    program = str(Path(sys.executable).with_name("synap-hooks"))
    done = subprocess.run(
        [program, *arguments, "--json"],
        env=plant.environ | {"USER": "dana"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.timeout(120)
def test_the_scenario_of_the_page(plant: Plant, sandbox: Sandbox, sink: Sink) -> None:
    """init, update, review, apply; the signed event; the alert; the rollback; its end."""
    plant.receiver()
    plant.start("workers")
    sandbox.send = Sender(http_post(plant.url), SECRET, VirtualClock(time.time())).send
    instance = sandbox.instance
    first, _, _ = instance.init(OWNER)
    instance.review(first.config_id, {"decision": "approve", "reviewed_by": "user_lead_002"})
    instance.apply(first.config_id, {"applied_by": "user_admin_001"})
    change = {
        "reason": "Increase context budget",
        "config": {"retrieval": {"context_budget": 8192}},
    }
    second, _, _ = instance.update(OWNER | change)
    instance.review(second.config_id, {"decision": "approve", "reviewed_by": "user_lead_002"})
    instance.apply(second.config_id, {"applied_by": "user_admin_001"})

    wait_for(lambda: told(sink, "context_budget"), seconds=30, what="the guard's alert")
    status, notes = told(sink, "context_budget")[0]
    assert status == "firing"
    assert "context budget raised from 4096 to 8192 tokens" in notes["description"]

    done = command(plant, *notes["rollback"].split()[1:], "--yes", "--reason", "costs")

    assert (done["to"], done["verified"]) == (first.config_id, True)
    assert done["alerts_ended"] == ["context_budget"]
    assert instance.active is first
    wait_for(
        lambda: told(sink, "context_budget")[-1][0] == "resolved",
        seconds=30,
        what="the end of the alert",
    )
    [line] = command(plant, "history")["history"]
    assert (line["actor"], line["action"]) == ("dana", "maca-rollback")
    sandbox.settle()
    assert [name for name, _ in instance.operations].count("rollback") == 1
