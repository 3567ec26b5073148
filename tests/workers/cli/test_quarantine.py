"""`synap-hooks quarantine`."""

from __future__ import annotations

import pytest

from receiver.errors import Flaw
from receiver.event import DEFAULT_ENDPOINT
from tests.accept import KEYS
from tests.build import NOW
from tests.workers.cli.command import Command, Desk, body_of


def listed(command: Command, *arguments: str) -> list[str]:
    """Return the keys of the quarantined bodies that a filter lets through."""
    command("quarantine", "list", "--json", *arguments)
    return [row["key"] for row in command.document["quarantined"]]


def test_list_and_filters(command: Command, desk: Desk) -> None:
    """Quarantined bodies are listed newest first, narrowed by reason, endpoint and age."""
    desk.quarantine(b"not json", Flaw.NOT_JSON, at=NOW - 7200)
    desk.quarantine(body_of("old"), at=NOW - 60)

    assert command("quarantine", "list") == 0
    head, *rows = command.out.splitlines()
    assert head.split()[:2] == ["SINCE", "REASON"]
    assert [row.split()[3] for row in rows] == ["stale", "not_json"]
    assert len(listed(command)) == 2
    assert len(listed(command, "--reason", "stale")) == 1
    assert len(listed(command, "--older-than", "1h")) == 1
    assert len(listed(command, "--endpoint", DEFAULT_ENDPOINT, "--limit", "1")) == 1
    assert listed(command, "--endpoint", "billing") == []


def test_nothing_in_quarantine(command: Command) -> None:
    """An empty quarantine says so and ends with 1."""
    assert command("quarantine", "list") == 1
    assert command.out == "nothing in quarantine\n"


def test_show(command: Command, desk: Desk) -> None:
    """One body is shown by the first digits of its key; rubbish cannot reach the terminal."""
    desk.quarantine(b"\x1b[31mred\xff", Flaw.NOT_JSON)
    [key] = listed(command)

    assert command("quarantine", "show", key[:8], "--body") == 0
    assert "reason       not_json\n" in command.out
    assert "\x1b" not in command.out
    assert r"\x1b[31mred\xff" in command.out
    assert command("quarantine", "show", key, "--body", "--json") == 0
    assert command.document["quarantined"]["kept"] == "whole"
    assert command.document["quarantined"]["body"] == "\x1b[31mred\\xff"


@pytest.mark.parametrize("name", ["evt_1", "0123456789", "f" * 64])
def test_no_such_body(command: Command, desk: Desk, name: str) -> None:
    """A key that fits nothing ends with 1."""
    desk.quarantine(b"{}", Flaw.NO_TYPE)

    assert command("quarantine", "show", name) == 1
    assert f"nothing in quarantine has the key {name}" in command.err


def test_release_accepts_now(command: Command, desk: Desk) -> None:
    """A released body is an event in flight, its job is queued, and it has left quarantine."""
    desk.quarantine(body_of("old", timestamp="2020-01-01T00:00:00Z"))
    [key] = listed(command)

    assert command("quarantine", "release", key[:10], "--json") == 0

    [done] = command.document["done"]
    event_key = done["result"].rpartition(" ")[2]
    assert done["key"] == key
    assert command("events", "show", "old", "--json") == 0
    assert command.document["event"]["key"] == event_key
    assert command.document["event"]["state"] == "inflight"
    assert desk.queued() == 1
    assert listed(command) == []
    assert desk.balance() == 0


def test_what_cannot_be_read_is_left_alone(command: Command, desk: Desk) -> None:
    """Of many bodies those that no handler could read stay; the rest is accepted: partly done."""
    desk.quarantine(b"not json", Flaw.NOT_JSON)
    desk.quarantine(body_of("old"))

    assert command("quarantine", "release", "--older-than", "0", "--limit", "9") == 5

    assert "release: 1 done, 1 left alone" in command.out
    assert "it can only be discarded" in command.out
    assert len(listed(command)) == 1
    assert command("quarantine", "release", "--older-than", "0", "--limit", "9") == 1


def test_discard_deletes(command: Command, desk: Desk) -> None:
    """A discarded body is gone, and the history says who did it."""
    desk.quarantine(b"not json", Flaw.NOT_JSON)

    assert command("quarantine", "discard", "--reason", "not_*", "--limit", "5") == 0

    assert listed(command) == []
    assert desk.redis.hget(KEYS.held, f"bodies:{DEFAULT_ENDPOINT}") == b"0"
    assert command("history", "--json") == 0
    assert command.document["history"][0]["actor"] == "dana"


def test_a_dry_run_does_nothing(command: Command, desk: Desk) -> None:
    """A dry run needs no actor and leaves quarantine as it is."""
    desk.quarantine(body_of("old"))
    command.environ["USER"] = ""

    assert command("quarantine", "release", "--reason", "*", "--limit", "5", "--dry-run") == 0
    assert len(listed(command)) == 1


def test_people_see_that_there_is_more(command: Command, desk: Desk) -> None:
    """A bounded table says that it is one, and facts come without the body unless asked for."""
    desk.quarantine(b"one", Flaw.NOT_JSON, at=NOW - 1)
    desk.quarantine(b"two", Flaw.NOT_JSON)
    [newest] = listed(command, "--limit", "1")

    assert command("quarantine", "list", "--limit", "1") == 0
    assert "... and more than these 1" in command.out
    assert command("quarantine", "show", newest) == 0
    assert command.out.splitlines()[-1].startswith("since")
    assert "kept         whole" in command.out


def test_a_key_without_its_record(command: Command, desk: Desk) -> None:
    """A body that has just left quarantine is not shown."""
    desk.quarantine(b"one", Flaw.NOT_JSON)
    [key] = listed(command)
    desk.redis.delete(KEYS.quarantined(key))

    assert command("quarantine", "show", key[:12]) == 1
    assert "has left quarantine just now" in command.err
