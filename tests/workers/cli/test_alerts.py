"""`synap-hooks alerts`: what fires, who took it on, and why somebody was told or not."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.house import PREFIX, House, bodies
from tests.workers.cli.command import Command

A, B = make_alert("A", severity="critical"), make_alert("B", severity="low")
MUTE_A = ("silence", "add", "alertname=A", "--for", "2h", "--reason", "a planned change")


def words(line: str) -> list[str]:
    """Return what stands in a line."""
    return line.split()


def test_list(command: Command, home: House) -> None:
    """Alerts are listed with state, receiver, who was told, and their ids."""
    home.report(A)
    home.tick()
    home.report(B)

    assert command("alerts", "list") == 0
    head, *rows = command.out.splitlines()
    assert words(head) == [
        "ALERT", "SEVERITY", "STATE", "SINCE", "INSTANCE", "RECEIVER", "TOLD", "ID", "GROUP",
    ]  # fmt: skip
    told = {words(row)[0]: words(row)[-3] for row in rows}
    assert told == {"A": "pagerduty", "B": "-"}
    assert {words(row)[-2] for row in rows} == {A.fingerprint, B.fingerprint}


def test_list_as_a_document(command: Command, home: House) -> None:
    """A document has labels, times, group, and when each target was told."""
    home.report(A)
    home.tick()

    assert command("alerts", "list", "--json") == 0
    [found] = command.document["alerts"]
    assert found["id"] == A.fingerprint
    assert found["labels"] == dict(A.labels)
    assert (found["state"], found["ends_at"]) == ("firing", None)
    assert found["group"]["key"] == '{}:{alertname="A"}'
    assert found["group"]["told"] == {"page/pagerduty/0": "2027-01-15T08:00:00Z"}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        pytest.param(["severity=critical"], {"A"}, id="matcher"),
        pytest.param(["severity=~critical|low"], {"A", "B"}, id="regex"),
        pytest.param(["alertname=A", "severity=low"], set(), id="all of them"),
        pytest.param(["--state", "silenced"], {"A"}, id="state"),
        pytest.param(["--state", "firing"], {"B"}, id="another state"),
        pytest.param(["--receiver", "page"], {"A", "B"}, id="receiver"),
        pytest.param(["--receiver", "nobody"], set(), id="no receiver"),
        pytest.param(["--limit", "1", "severity=low"], {"B"}, id="limit"),
    ],
)
def test_filters(command: Command, home: House, arguments: list[str], names: set[str]) -> None:
    """Matchers, states and receivers narrow the list; an empty one ends with 1."""
    home.report(A, B)
    command(*MUTE_A)

    assert command("alerts", "list", "--json", *arguments) == (0 if names else 1)
    assert {found["labels"]["alertname"] for found in command.document["alerts"]} == names


def test_no_alerts(command: Command) -> None:
    """Nothing fires: an answer, and the code for no."""
    assert command("alerts", "list") == 1
    assert command.out == "no alerts\n"
    assert command("alerts", "list", "a=~[") == 2


def test_acknowledge(command: Command, home: House, sink: Sink) -> None:
    """What is taken on is not told again until it lapses; PagerDuty hears of it at once."""
    home.report(A)
    home.tick()

    assert command("alerts", "ack", A.fingerprint[:8], "--for", "30m") == 0
    assert "taken on by dana until 2027-01-15T08:30:00Z" in command.out
    home.tick()
    assert [body["event_action"] for body in bodies(sink.seen)] == ["trigger", "acknowledge"]

    home.pass_time(20 * 60, step=30)
    assert len(sink.seen) == 2
    assert command("alerts", "list", "--json", "--state", "acknowledged") == 0
    assert command.document["alerts"][0]["acknowledged_by"] == "dana"
    home.pass_time(20 * 60, step=30)
    assert bodies(sink.seen)[2]["event_action"] == "trigger"


def test_give_back(command: Command, home: House) -> None:
    """What was given back is nobody's; both stand in the history."""
    home.report(A)
    home.tick()
    [gid] = home.group_ids()

    assert command("alerts", "unack", gid[:8]) == 1
    assert "nobody has taken it on" in command.out
    assert command("alerts", "ack", gid[:8], "--dry-run") == 0
    assert command("alerts", "list", "--state", "acknowledged") == 1
    assert command("alerts", "ack", gid[:8]) == 0
    assert command("alerts", "list", "--state", "acknowledged") == 0
    assert command("alerts", "unack", gid[:8]) == 0
    assert command("alerts", "list", "--state", "acknowledged") == 1
    assert command("history", "--json") == 0
    actions = [line["action"] for line in command.document["history"]]
    assert actions == ["unacknowledge", "acknowledge"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("nobody", "no alert or group has the id nobody", id="nobody"),
        pytest.param("", "several alerts or groups begin with", id="everybody"),
    ],
)
def test_whom_to_acknowledge(command: Command, home: House, name: str, says: str) -> None:
    """An unknown id, or the beginning of several, is said to be so."""
    home.report(A, B)

    assert command("alerts", "ack", name) == 1
    assert says in command.err


def test_explain_what_was_told(command: Command, home: House) -> None:
    """The story of an alert names its routes, every decision and every attempt, in order."""
    home.report(A)
    home.tick()

    assert command("alerts", "explain", A.fingerprint, "--json") == 0
    story = command.document
    assert story["labels"] == dict(A.labels)
    assert [(d["decision"], d["why"]) for d in story["decisions"]] == [
        ("queued", "first notification"),
        ("told", "first notification"),
    ]
    [attempt] = story["attempts"]
    assert (attempt["target"], attempt["outcome"]) == ("page/pagerduty/0", "sent")


def test_explain_what_was_not_told(command: Command, home: House, sink: Sink) -> None:
    """For what was held back it says by what: here a silence, and then its end."""
    command(*MUTE_A, "--json")
    silence = command.document["silence"]["id"]
    home.report(A)
    home.tick()

    assert command("alerts", "explain", A.fingerprint[:10], "--json") == 0
    [decision] = command.document["decisions"]
    assert decision["decision"] == "filtered"
    assert decision["alert"]["held_back"] == f"silenced by {silence}"
    assert sink.seen == []

    command("silence", "expire", silence)
    home.tick(60)
    assert command("alerts", "explain", A.fingerprint[:10]) == 0
    assert f"it was firing, silenced by {silence}" in command.out
    assert "told" in command.out
    assert "It fires, since 2027-01-15T08:00:00Z" in command.out


def test_explain_what_is_over(command: Command, home: House, redis: Redis) -> None:
    """An alert that is over is still explained; one that never was is not."""
    home.report(A)
    home.tick()
    over = make_alert("A", severity="critical", ends_at=home.now)
    home.report(over)
    home.pass_time(180, step=30)
    assert home.group_ids() == []

    assert command("alerts", "explain", A.fingerprint) == 0
    assert "It is over: no group holds it any more." in command.out
    assert "all alerts resolved" in command.out
    assert command("alerts", "explain", "nobody") == 1
    assert "no alert has the id nobody" in command.err
    assert redis.exists(f"{PREFIX}:alerting:history")


def test_explain_looks_back_so_far(command: Command, home: House) -> None:
    """Only decisions of the time that is asked for are told."""
    home.report(A)
    home.tick()
    home.now = NOW + 9

    assert command("alerts", "explain", A.fingerprint, "--since", "0s", "--json") == 0
    assert command("alerts", "explain", A.fingerprint, "--since", "soon") == 2


def test_explain_needs_one(command: Command, home: House) -> None:
    """The beginning of several ids is said to be so."""
    home.report(A, B)

    assert command("alerts", "explain", "") == 1
    assert "2 alerts begin with" in command.err
