"""`synap-hooks dead`, `history`, and what holds for every bulk action."""

from __future__ import annotations

import pytest

from tests.accept import KEYS
from tests.build import NOW
from tests.workers.cli.command import Command, Desk
from workers.ledger.transitions import Verdict


def test_list_and_show(command: Command, desk: Desk) -> None:
    """Dead letters are listed and shown with the reason they died of; others are not."""
    desk.settled("dead", Verdict.DEAD, "worker_lost")
    desk.accept("alive")

    assert command("dead", "list", "--json") == 0
    assert [(e["id"], e["reason"]) for e in command.document["events"]] == [("dead", "worker_lost")]
    assert command("dead", "show", "dead") == 0
    assert command("dead", "show", "alive") == 1
    assert "alive is inflight; see `synap-hooks events show alive`" in command.err


def test_replay_gives_another_life(command: Command, desk: Desk) -> None:
    """A replayed dead letter is in flight again, aged from now, and the history names who."""
    key = desk.settled("dead", Verdict.DEAD, at=NOW - 86400)
    before = desk.queued()

    assert command("dead", "replay", "dead") == 0

    assert desk.queued() == before + 1
    assert desk.redis.zscore(KEYS.inflight("ingestion.failed"), key) == NOW
    assert desk.balance() == 0
    assert command("history", "--json") == 0
    [line] = command.document["history"]
    assert (line["actor"], line["subject"], line["at"]) == ("dana", key, "2027-01-15T08:00:00Z")
    assert "replay" in (line["action"], line["detail"])


def test_discard_is_for_good(command: Command, desk: Desk) -> None:
    """A discarded dead letter has no body any more, and the books still balance."""
    key = desk.settled("dead", Verdict.DEAD)

    assert command("dead", "discard", "dead", "--actor", "kim") == 0

    assert not desk.redis.exists(KEYS.body(key))
    assert desk.balance() == 0
    assert command("dead", "list") == 1
    assert command("history") == 0
    assert "kim" in command.out


def test_a_dry_run_does_nothing(command: Command, desk: Desk) -> None:
    """A dry run names what it would act on and leaves everything, history too, as it was."""
    keys = [desk.settled(f"dead{n}", Verdict.DEAD, at=NOW - n) for n in range(3)]

    code = command("dead", "discard", "--reason", "handler_error", "--limit", "2", "--dry-run")

    assert code == 0
    assert command.out.splitlines() == [
        f"{keys[0][:12]}  would be: discard",
        f"{keys[1][:12]}  would be: discard",
        "dry run: discard would act on 2; nothing was done",
        "more match than --limit 2: run it again for the rest",
    ]
    assert desk.redis.zcard(KEYS.dead("ingestion.failed")) == 3
    assert command("history") == 1


def test_some_done_and_some_not(command: Command, desk: Desk) -> None:
    """Dead letters by filter are acted on one by one, up to the bound, the newest first."""
    keys = [desk.settled(f"dead{n}", Verdict.DEAD, at=NOW - n) for n in range(3)]

    assert command("dead", "discard", "--older-than", "1s", "--limit", "9", "--json") == 0
    assert command.document == {
        "action": "discard",
        "dry_run": False,
        "actor": "dana",
        "matched": keys[1:],
        "more": False,
        "done": [{"key": key, "result": "discarded"} for key in keys[1:]],
        "skipped": [],
    }


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_nothing_matches(command: Command, action: str) -> None:
    """A filter that fits nothing ends with 1, for people and programs."""
    arguments = ("dead", action, "--reason", "none", "--limit", "5")

    assert command(*arguments) == 1
    assert command.out == "nothing matches\n"
    assert command(*arguments, "--json") == 1
    assert command.document["matched"] == []


def test_an_action_wants_the_state_it_is_for(command: Command, desk: Desk) -> None:
    """`dead` acts on dead letters alone."""
    desk.accept("alive")

    assert command("dead", "discard", "alive") == 1
    assert "alive is inflight, not dead" in command.err


@pytest.mark.parametrize(
    ("arguments", "environ", "says"),
    [
        pytest.param([], {}, "give names, or a filter", id="neither names nor filter"),
        pytest.param(["--reason", "x"], {}, "needs a bound: add --limit", id="no bound"),
        pytest.param(["dead", "--reason", "x"], {}, "not both", id="names and filter"),
        pytest.param(["dead"], {"USER": " "}, "add --actor NAME", id="nobody"),
        pytest.param(["dead", "--actor", ""], {}, "add --actor NAME", id="empty actor"),
        pytest.param(["--older-than", "soon"], {}, "must be a duration", id="no duration"),
        pytest.param(["--limit", "0", "--reason", "x"], {}, "0 is not in the range", id="zero"),
    ],
)
def test_orders_that_are_refused(
    command: Command, arguments: list[str], environ: dict[str, str], says: str
) -> None:
    """An order without names, filter, bound or actor is refused with 2, and says what to add."""
    command.environ |= environ

    assert command("dead", "discard", *arguments) == 2
    assert says in command.err
