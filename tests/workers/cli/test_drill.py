"""`synap-hooks drill`: a test page through the true path, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from redis import Redis

from tests.build import make_alert
from tests.sink import Sink
from tests.workers.alerting.house import TAKEN, House, bodies, config_of, events, page
from tests.workers.cli.command import Command


class Workers:
    """The workers of a house, in a thread; their clock runs ten times as fast."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._house.tick(0.5)
            time.sleep(0.05)

    def close(self) -> None:
        """Send them home."""
        self._stop.set()
        self._thread.join()


@pytest.fixture
def house(redis: Redis, sink: Sink, command: Command, tmp_path: Path) -> Iterator[House]:
    """Yield alerting with a page and a log, by the same file as the command's."""
    sink.answer(202, TAKEN)
    text = page(sink) + "  - name: team\n    log_configs: [{}]\n  - name: nobody\n"
    file = tmp_path / "hooks.yaml"
    file.write_text("alerting:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
    command.environ["SYNAP_CONFIG"] = str(file)
    found = House(redis, config_of(text))
    yield found
    found.outbound.close()


@pytest.fixture
def workers(house: House) -> Iterator[Workers]:
    """Yield the workers of the house, at work; their log is not the command's output."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    running = Workers(house)
    yield running
    running.close()
    structlog.reset_defaults()


def test_a_page_and_its_end(command: Command, workers: Workers, sink: Sink) -> None:
    """The receiver is told of a harmless alert and of its end, and nothing stays open."""
    assert workers
    assert command("drill", "page", "--json") == 0

    (told,) = command.document["targets"]
    assert (told["target"], told["told"], told["ended"]) == ("page/pagerduty/0", True, True)
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["sent", "sent"]
    (trigger, summary), (resolve, _) = events(sink)
    assert (trigger, resolve) == ("trigger", "resolve")
    assert summary == "Drill by dana: can page be told? Nothing is wrong."
    assert bodies(sink.seen)[0]["payload"]["severity"] == "info"
    assert len({body["dedup_key"] for body in bodies(sink.seen)}) == 1
    assert command("alerts", "list") == 1


def test_for_a_person(command: Command, workers: Workers) -> None:
    """A table says of each target whether it was told, and what it answered."""
    assert workers
    assert command("drill", "page", "--severity", "critical") == 0

    head, row = command.out.splitlines()
    assert head.split() == ["TARGET", "TOLD", "ENDED", "TRIES", "MS", "ANSWER"]
    assert row.split()[:4] == ["page/pagerduty/0", "yes", "yes", "2"]
    assert command("history", "--json") == 0
    [line] = command.document["history"]
    assert (line["action"], line["subject"], line["actor"]) == ("drill", "page", "dana")


def test_a_target_that_is_only_written_to(command: Command, workers: Workers) -> None:
    """What cannot fail is tried as well: it is told without an attempt."""
    assert workers
    assert command("drill", "team", "--json") == 0
    (told,) = command.document["targets"]
    assert (told["told"], told["attempts"]) == (True, [])


def test_a_target_that_refuses(command: Command, workers: Workers, sink: Sink) -> None:
    """A page that is refused ends with 1 and says why; it is not waited for."""
    assert workers
    sink.answer(400, b'{"status":"invalid event","message":"no such key"}')
    began = time.monotonic()

    assert command("drill", "page") == 1
    assert "clientError" in command.out
    assert "page/pagerduty/0  no" in command.out
    assert time.monotonic() - began < 10


def test_without_workers(command: Command, house: House) -> None:
    """Where nobody works the drill says so, and leaves an alert that ends by itself."""
    assert command("drill", "page", "--wait", "0.3s") == 1
    assert "are the workers running (python -m workers)?" in command.out
    house.tick(400)
    house.pass_time(5)
    assert command("alerts", "list") == 1


def test_a_drill_does_not_hide_other_trouble(
    command: Command, workers: Workers, sink: Sink, house: House
) -> None:
    """A drill is a group of its own: what fires meanwhile is told as ever."""
    assert workers
    house.report(make_alert("A", annotations={"summary": "real"}))

    assert command("drill", "page") == 0
    assert ("trigger", "real") in events(sink)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["page", "--actor", ""], 2, "add --actor", id="nobody asks"),
        pytest.param(["page", "--severity", "bad"], 2, "Invalid value", id="no severity"),
        pytest.param(
            ["pager"], 1, "no receiver is called pager; there are nowhere, page, team", id="who"
        ),
        pytest.param(["nobody"], 1, "nobody is told in no way", id="in no way"),
    ],
)
def test_what_cannot_be_drilled(
    command: Command, house: House, arguments: list[str], code: int, says: str
) -> None:
    """A receiver that is not there, or cannot be told, is said to be so."""
    assert house
    assert command("drill", *arguments) == code
    assert says in command.err


def test_a_silenced_drill(command: Command, house: House) -> None:
    """A silence that would mute the drill is named, instead of a page that never comes."""
    assert house
    command("silence", "add", "severity=info", "--for", "1h", "--reason", "x", "--json")
    silence = command.document["silence"]["id"]

    assert command("drill", "page") == 1
    assert f"silence {silence} mutes drills too" in command.err
