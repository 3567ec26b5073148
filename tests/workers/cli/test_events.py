"""`synap-hooks events`."""

from __future__ import annotations

import pytest

from receiver.event import safe_key
from tests.accept import KEYS, record
from tests.build import INSTANCE, NOW
from tests.workers.cli.command import Command, Desk
from workers.ledger.transitions import Verdict


def ids(command: Command) -> list[str]:
    """Return the ids of the events in the printed document."""
    return [event["id"] for event in command.document["events"]]


def test_a_list_is_newest_first_across_types_and_states(command: Command, desk: Desk) -> None:
    """Events of all types and states are merged by the moment of their last change."""
    desk.accept("one", at=NOW - 40)
    desk.settled("two", Verdict.DONE, event_type="config.applied", at=NOW - 30)
    desk.settled("three", Verdict.DEAD, event_type="memory.created", at=NOW - 20)
    desk.accept("four", "credential.expiring", at=NOW - 10)

    assert command("events", "list", "--json") == 0
    assert ids(command) == ["four", "three", "two", "one"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--state", "dead"], ["dead"], id="state"),
        pytest.param(["--state", "done", "--state", "dead"], ["dead", "done"], id="states"),
        pytest.param(["--type", "config.applied"], ["waits"], id="known type"),
        pytest.param(["--type", "memory.created"], ["done"], id="type of its own"),
        pytest.param(["--type", "unknown"], ["done"], id="kind"),
        pytest.param(["--reason", "worker_*"], ["dead"], id="reason by pattern"),
        pytest.param(["--older-than", "1h"], ["done", "waits"], id="older"),
        pytest.param(["--newer-than", "1h", "--endpoint", "default"], ["new", "dead"], id="newer"),
        pytest.param(["--limit", "1"], ["new"], id="bound"),
    ],
)
def test_filters(command: Command, desk: Desk, arguments: list[str], expected: list[str]) -> None:
    """Each filter narrows the list, and together they all hold."""
    desk.settled("waits", Verdict.RETRY, event_type="config.applied", at=NOW - 7200)
    desk.settled("done", Verdict.DONE, event_type="memory.created", at=NOW - 3600)
    desk.settled("dead", Verdict.DEAD, "worker_lost", at=NOW - 60)
    desk.accept("new", at=NOW - 5)

    assert command("events", "list", "--json", *arguments) == 0
    assert ids(command) == expected
    assert command.document["more"] is ("--limit" in arguments)


@pytest.mark.parametrize("arguments", [[], ["--endpoint", "billing"]])
def test_nothing_to_list(command: Command, arguments: list[str]) -> None:
    """An empty list says so and ends with 1."""
    assert command("events", "list", *arguments) == 1
    assert command.out == "no events\n"


def test_a_table_for_people(command: Command, desk: Desk) -> None:
    """The table names what a person asks for, with time as UTC and age."""
    key = desk.settled("evt_7", Verdict.DEAD, "worker_lost", at=NOW - 300)

    command("events", "list")
    head, row = command.out.splitlines()

    assert " ".join(head.split()) == (
        "SINCE STATE TYPE EVENT ID ENDPOINT INSTANCE TRIES REASON KEY"
    )
    assert row.startswith("2027-01-15T07:55:00Z (5m ago)  dead")
    assert row.split()[3:] == (
        ["dead", "ingestion.failed", "evt_7", "default", INSTANCE, "0", "worker_lost", key[:12]]
    )


def test_the_documented_shape(command: Command, desk: Desk) -> None:
    """Programs get every field by a fixed name; what is not known is null."""
    key = desk.settled("evt_7", Verdict.RETRY, at=NOW - 300)

    assert command("events", "show", "evt_7", "--json") == 0
    event = command.document["event"]

    assert event.pop("timestamp").endswith("Z")
    assert event.pop("job") is None
    assert event == {
        "key": key,
        "id": "evt_7",
        "type": "ingestion.failed",
        "kind": "ingestion.failed",
        "state": "inflight",
        "endpoint": "default",
        "instance_id": INSTANCE,
        "client_id": "cli_0123456789abcdef",
        "correlation_id": "corr_1",
        "received_at": "2027-01-15T07:55:00Z",
        "since": "2027-01-15T07:55:00Z",
        "attempts": 0,
        "reason": "handler_error",
        "next_at": "2027-01-15T08:05:00Z",
        "leased_until": None,
        "signing_key": "env-1",
    }


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_an_event_goes_by_its_key(command: Command, desk: Desk, digits: int) -> None:
    """The key, or the beginning of it that a table shows, names an event."""
    key = desk.settled("evt_7", Verdict.DONE)
    desk.accept("evt_8")

    assert command("events", "show", key[:digits], "--json") == 0
    assert command.document["event"]["id"] == "evt_7"


def test_facts_and_body_for_people(command: Command, desk: Desk) -> None:
    """A person sees the facts and, when asked for, the body in ASCII."""
    desk.settled("evt_7", Verdict.RETRY)

    assert command("events", "show", "evt_7", "--body") == 0
    assert "next_at         2027-01-15T08:10:00Z (in 10m)\n" in command.out
    assert '    "document_id": "doc_1",\n' in command.out


@pytest.mark.parametrize("name", ["evt_9", "0123456789ab", "f" * 64, "abc"])
def test_nobody_of_that_name(command: Command, desk: Desk, name: str) -> None:
    """A name that fits nothing ends with 1 and says what to give instead."""
    desk.accept("evt_7")

    assert command("events", "show", name) == 1
    assert f"no event of endpoint default has the id {name}" in command.err


def test_an_event_without_a_body(command: Command, desk: Desk) -> None:
    """Once the body of a settled event is gone its tombstone is still shown."""
    key = desk.settled("evt_7", Verdict.DONE, "unknown type, listed")
    desk.redis.delete(KEYS.body(key))

    assert command("events", "show", "evt_7", "--body") == 0
    assert command("events", "list") == 0
    assert "done" in command.out


def test_replay_of_one_that_waits(command: Command, desk: Desk) -> None:
    """An event that waits for its next attempt runs now, under a job of its own."""
    key = desk.settled("evt_7", Verdict.RETRY)
    before = desk.queued()

    assert command("events", "replay", "evt_7") == 0

    assert command.out == f"{key[:12]}  runs again\nreplay: 1 done, 0 left alone\n"
    assert desk.queued() == before + 1
    assert desk.redis.zcard(KEYS.retry) == 0


def test_replay_of_one_that_is_done(command: Command, desk: Desk) -> None:
    """A settled event runs once more while its body lives, and the books still balance."""
    key = desk.settled("evt_7", Verdict.DONE)
    before = desk.queued()

    assert command("events", "replay", key, "--json") == 0

    assert command.document["done"] == [{"key": key, "result": "runs again"}]
    assert desk.queued() == before + 1
    assert record(desk.redis, key)["state"] == "inflight"
    assert desk.redis.ttl(KEYS.event(key)) == desk.redis.ttl(KEYS.body(key)) == -1
    assert desk.balance() == 0
    desk.settle(key, Verdict.DONE, "again", at=NOW + 60)
    assert desk.balance() == 0


def test_replay_without_a_body_is_left_alone(command: Command, desk: Desk) -> None:
    """What is settled and forgotten cannot run again; the answer says so."""
    key = desk.settled("evt_7", Verdict.DONE)
    desk.redis.delete(KEYS.body(key))

    assert command("events", "replay", "evt_7") == 1
    assert "its body is gone" in command.out


def test_replay_by_filter_takes_those_that_wait(command: Command, desk: Desk) -> None:
    """A filter alone means the events that wait: not new ones, not dead ones, not done ones."""
    waiting = [desk.settled(f"w{n}", Verdict.RETRY, at=NOW - 100 - n) for n in range(3)]
    desk.accept("new")
    desk.settled("dead", Verdict.DEAD)
    desk.settled("done", Verdict.DONE)

    code = command("events", "replay", "--type", "ingestion.failed", "--limit", "2", "--json")

    assert code == 0
    assert command.document["matched"] == waiting[:2]
    assert command.document["more"] is True


def test_replay_that_finds_none_waiting_says_where_else_to_look(
    command: Command, desk: Desk
) -> None:
    """Who asks for done events by a filter alone is told to name their state."""
    desk.settled("done", Verdict.DONE)

    assert command("events", "replay", "--type", "ingestion.failed", "--limit", "2") == 1
    assert "--state names others" in command.out


def test_a_running_event_is_left_alone(command: Command, desk: Desk) -> None:
    """An event that a worker holds is not given to another."""
    key = desk.accept("evt_7")
    job = record(desk.redis, key)["job"]
    desk.ledger.claim(job, [key], now=NOW, lease=30)

    assert command("events", "replay", "evt_7") == 1
    assert "is being worked on" in command.out


def test_ids_belong_to_endpoints(command: Command, desk: Desk) -> None:
    """An event id means the event of the named endpoint."""
    desk.accept("evt_7")

    assert safe_key("billing", "evt_7") != safe_key("default", "evt_7")
    assert command("events", "show", "evt_7", "--endpoint", "billing") == 1
    assert command("events", "replay", "evt_7", "--endpoint", "default", "--dry-run") == 0


def test_a_beginning_that_fits_more_than_one(command: Command, desk: Desk) -> None:
    """The beginning of more than one key names none of them."""
    keys = {f"abcdef01{n:056x}": NOW for n in range(12)}
    desk.redis.zadd(KEYS.done, keys)

    assert command("events", "show", "abcdef01") == 1
    assert "10 keys begin with abcdef01; give more of it" in command.err


def test_a_key_without_its_record(command: Command, desk: Desk) -> None:
    """An index may name an event whose record has just ended; it is not shown."""
    key = desk.settled("evt_7", Verdict.DONE)
    desk.redis.delete(KEYS.event(key))

    assert command("events", "show", key[:12]) == 1
    assert "was settled and forgotten just now" in command.err


def test_the_table_says_that_there_is_more(command: Command, desk: Desk) -> None:
    """A bounded table says that it is one."""
    desk.accept("one")
    desk.accept("two")

    assert command("events", "list", "--limit", "1") == 0
    assert command.out.endswith("... and more than these 1: raise --limit or narrow the filter\n")


def test_a_second_life_counts_from_its_entry(command: Command, desk: Desk) -> None:
    """A replayed dead letter is listed as of its replay, not of its death."""
    desk.settled("dead", Verdict.DEAD, at=NOW - 86400)
    desk.accept("new", at=NOW - 60)
    command("dead", "replay", "dead")

    assert command("events", "list", "--json", "--newer-than", "1m") == 0
    assert ids(command) == ["dead"]
