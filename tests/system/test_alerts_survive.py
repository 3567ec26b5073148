"""Notifications survive whatever is killed: told once where that can be known, and always ended."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from tests.build import make_event, signed
from tests.processes import wait_for
from tests.sink import Seen, Sink
from tests.system.plant import SHORT, Plant
from tests.workers.alerting.house import KEY, TAKEN

pytestmark = pytest.mark.timeout(180)

POINTS = 30
"""Steps from a job to its last write, and on into the next; each worker dies after its own."""

CONFIG = """
events:
  ingestion.failed: {{quiet: {quiet}, burst: 100000}}
alerting:
  route:
    receiver: page
    group_by: [error_code]
    group_wait: 0s
    group_interval: 5s
    repeat_interval: 1h
  receivers:
    - name: page
      pagerduty_configs: [{{routing_key: {key}, url: "{url}/page", rate_limit: 100/s}}]
      webhook_configs: [{{url: "{url}/hook"}}]
      slack_configs: [{{api_url: "{url}/chat", rate_limit: 100/s}}]
"""


@pytest.fixture
def plant(tmp_path: Path, sink: Sink) -> Iterator[Callable[..., Plant]]:
    """Yield a function that builds a plant that pages the sink; all are closed in the end."""
    built: list[Plant] = []

    def build(*, quiet: str = "1h") -> Plant:
        sink.answer(202, TAKEN)
        sink.answer(200, b"ok", path="/chat")
        file = tmp_path / "hooks.yaml"
        file.write_text(CONFIG.format(key=KEY, url=sink.url, quiet=quiet))
        built.append(Plant(tmp_path, **SHORT, SYNAP_CONFIG=str(file)))
        return built[-1]

    yield build
    for each in built:
        each.close()


def report(site: Plant, client: httpx2.Client, code: str) -> None:
    """Send an event whose error code is a group of its own."""
    body, headers = signed(make_event(event_id=f"evt_{code}", data={"error_code": code}))
    answer = client.post(site.url, content=body, headers=headers)
    assert answer.status_code == 202, answer.text


def codes(seen: list[Seen], path: str, status: str) -> Counter[str]:
    """Return how often a path heard of each error code in a state."""
    found: Counter[str] = Counter()
    for request in seen:
        if request.path == path and (body := request.json):
            found.update([_code(body)] if _status(body) == status else [])
    return found


def _status(body: dict[str, Any]) -> str:
    if "attachments" in body:
        return "firing" if "FIRING" in body["text"] else "resolved"
    action = {"trigger": "firing", "resolve": "resolved"}
    return action.get(body.get("event_action", ""), body.get("status", ""))


def _code(body: dict[str, Any]) -> str:
    if "attachments" in body:
        return re.findall(r"\((E\d+)\)", body["text"])[0]
    if "groupLabels" in body:
        return str(body["groupLabels"]["error_code"])
    details = body.get("payload", {}).get("custom_details", {})
    return str(details.get("error_code") or body["dedup_key"])


def test_a_worker_is_killed_at_every_point(plant: Callable[..., Plant], sink: Sink) -> None:
    """SIGKILL anywhere between "group due" and "accepted": told once where an id can tell.

    One incident for each group, one delivery id for the webhook; elsewhere once at least, and what
    may show twice is marked.
    """
    site = plant()
    site.receiver()
    site.start("workers", "--tick")
    site.start("workers", "--queue", "events-bulk")
    saboteur = site.start("tests.system.alert_saboteur", str(POINTS))
    expected: set[str] = set()
    with httpx2.Client(timeout=10) as client:
        while saboteur.alive:
            expected.add(f"E{len(expected)}")
            report(site, client, f"E{len(expected) - 1}")
            time.sleep(0.3)
    site.start("workers", "--queue", "notifications")

    for path in ("/page", "/hook", "/chat"):
        wait_for(
            lambda p=path: set(codes(sink.seen, p, "firing")) == expected, seconds=60, what=path
        )
    time.sleep(6)

    assert saboteur.process.returncode == 0
    triggers = [seen.json for seen in sink.seen if seen.path == "/page"]
    assert {body["event_action"] for body in triggers} == {"trigger"}
    assert len({body["dedup_key"] for body in triggers}) == len(expected)
    assert [code for code, ids in _deliveries(sink).items() if len(ids) > 1] == []
    repeated = {code for code, times in codes(sink.seen, "/chat", "firing").items() if times > 1}
    # where the kill falls decides whether there is one; `test_crashes` has each point by itself
    assert repeated - _marked(site) == set()


def _deliveries(sink: Sink) -> dict[str, set[str]]:
    """Return the ids under which the webhook heard of each error code."""
    ids: dict[str, set[str]] = {}
    for seen in sink.seen:
        if seen.path == "/hook":
            ids.setdefault(_code(seen.json), set()).add(seen.headers["x-delivery-id"])
    return ids


def _marked(site: Plant) -> set[str]:
    """Return the error codes of which the ledger says that a target may have heard twice."""
    with site.server.client() as redis:
        rows = [row for _, row in redis.xrange("synap:alerting:attempts")]
        groups = {row[b"group"].decode() for row in rows if row[b"possible_duplicate"] == b"1"}
        labels = [redis.hget(f"synap:alerting:group:{gid}", "labels") for gid in groups]
    return {orjson.loads(text)["error_code"] for text in labels}


def test_redis_is_killed_while_alerts_are_told(plant: Callable[..., Plant], sink: Sink) -> None:
    """With `appendfsync always` nothing that was accepted is sent again, and no end is lost."""
    site = plant(quiet="20s")
    site.receiver()
    site.start("workers")
    expected = {f"E{number}" for number in range(40)}
    with httpx2.Client(timeout=10) as client:
        for number in range(40):
            while True:
                try:
                    report(site, client, f"E{number}")
                    break
                except (AssertionError, httpx2.HTTPError):
                    time.sleep(0.1)
            if number in {10, 25}:
                site.server.kill()
                time.sleep(0.3)
                site.server.start()

    def all_over() -> bool:
        ended = codes(sink.seen, "/page", "resolved")
        return (
            len(ended) >= len(expected) and set(codes(sink.seen, "/hook", "resolved")) >= expected
        )

    wait_for(all_over, seconds=120, what="every end")
    opened = codes(sink.seen, "/page", "firing")
    held: set[str] = set()
    for seen in sink.seen:
        if seen.path == "/page":
            change = held.add if seen.json["event_action"] == "trigger" else held.discard
            change(seen.json["dedup_key"])
    assert set(opened) == expected
    assert held == set()
    assert max(opened.values()) <= 2
