"""`synap-hooks backtest`: what another configuration would have told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build import make_alert
from tests.sink import Sink
from tests.workers.alerting.house import House, page
from tests.workers.cli.command import Command


def wrapped(text: str) -> str:
    """Return an alerting section as a whole file."""
    return "alerting:\n" + "".join(f"  {line}\n" for line in text.splitlines())


@pytest.fixture
def files(command: Command, sink: Sink, tmp_path: Path) -> Path:
    """Return a folder with the workers' own file, `now.yaml`, and a new one, `new.yaml`."""
    now = wrapped(page(sink))
    (tmp_path / "now.yaml").write_text(now)
    quieter = now.replace("receiver: page\n", "receiver: nowhere\n", 1).replace(
        "    routes:\n", "    routes:\n      - {receiver: page, matchers: [severity=critical]}\n"
    )
    (tmp_path / "new.yaml").write_text(quieter)
    command.environ["SYNAP_CONFIG"] = str(tmp_path / "now.yaml")
    return tmp_path


@pytest.fixture
def recorded(home: House) -> House:
    """Return alerting that has told of two alerts."""
    home.report(make_alert("A", severity="critical"), make_alert("B", severity="low"))
    home.pass_time(120, step=10)
    return home


def test_nothing_is_recorded(command: Command, files: Path) -> None:
    """Without a history there is nothing to play: the code for no."""
    assert command("backtest", "--config", str(files / "new.yaml"), "--since", "1d") == 1
    assert "no alerts are recorded since 2027-01-14T08:00:00Z" in command.out
    assert command("backtest", "--config", str(files / "new.yaml"), "--json") == 1
    assert command.document["alerts"] == 0


def test_as_a_document(command: Command, files: Path, recorded: House) -> None:
    """A document has the counts before and after, and who would hear of what instead."""
    now = recorded.now
    new = str(files / "new.yaml")

    assert command.at(now, "backtest", "--config", new, "--json") == 0

    found = command.document
    assert found["alerts"] == 2
    [page_change] = found["receivers"]
    assert page_change == {
        "receiver": "page",
        "would": "page less",
        "pages": {"before": 2, "after": 1},
        "messages": {"before": 2, "after": 1},
    }
    assert found["moved"] == [
        {"alertname": "B", "alerts": 1, "before": ["page"], "after": ["nowhere"]}
    ]


def test_for_a_person(command: Command, files: Path, recorded: House) -> None:
    """Tables say the same in words, and nothing is sent."""
    sent = len(recorded.rows())

    assert command.at(recorded.now, "backtest", "--config", str(files / "new.yaml")) == 0
    assert "2 times an alert fired since" in command.out
    assert ["page", "page", "less", "2", "1", "2", "1"] in [
        line.split() for line in command.out.splitlines()
    ]
    assert len(recorded.rows()) == sent


def test_nothing_would_change(command: Command, files: Path, recorded: House) -> None:
    """The same configuration says the same."""
    now = recorded.now

    assert command.at(now, "backtest", "--config", str(files / "now.yaml")) == 0
    assert "be the same" in command.out
    assert "every alert goes to the receivers to which it goes now" in command.out


def test_a_configuration_that_is_none(command: Command, files: Path) -> None:
    """A new file with problems is refused with each of them."""
    (files / "new.yaml").write_text("alerting: {route: {}}")

    assert command("backtest", "--config", str(files / "new.yaml")) == 2
    assert "root route must specify a default receiver" in command.err
