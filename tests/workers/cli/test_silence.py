"""`synap-hooks silence`: adding, listing, changing, ending."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.workers.alerting.house import PREFIX, House
from tests.workers.cli.command import Command
from workers.alerting.silence_book import SilenceBook

ADD = ("silence", "add", "alertname=A", "--for", "2h", "--reason", "a planned change")


@pytest.fixture
def book(redis: Redis) -> SilenceBook:
    """Return the silences of the suite's Redis."""
    return SilenceBook(redis, PREFIX)


def test_add(command: Command, book: SilenceBook, home: House) -> None:
    """A silence is kept with author and reason, says whom it mutes, and stands in the history."""
    home.report(make_alert("A"), make_alert("B"))

    assert command(*ADD) == 0

    [kept] = book.all()
    assert (kept.author, kept.reason, kept.text) == ("dana", "a planned change", '{alertname="A"}')
    assert (kept.starts_at, kept.ends_at) == (NOW, NOW + 7200)
    assert command.out.splitlines() == [
        f'{kept.id}  {{alertname="A"}}  until 2027-01-15T10:00:00Z (in 2h)',
        "mutes 1 now: A",
    ]
    assert command("history", "--json") == 0
    [line] = command.document["history"]
    assert (line["action"], line["actor"], line["subject"]) == ("silence", "dana", kept.id)


def test_what_it_mutes(command: Command, book: SilenceBook) -> None:
    """All matchers of the command line must match; each --or is another set."""
    assert command(*ADD, "severity=~high|low", "--or", "team=x,zone!=y", "--json") == 0

    assert command.document["silence"]["matchers"] == [
        ['alertname="A"', 'severity=~"high|low"'],
        ['team="x"', 'zone!="y"'],
    ]
    muted = book.in_force(NOW)
    assert muted({"alertname": "A", "severity": "low"})
    assert muted({"team": "x"})
    assert not muted({"alertname": "A", "severity": "info"})


def test_a_time_to_come(command: Command) -> None:
    """A silence may begin later, and end at a moment."""
    times = ("--from", "2027-01-16T08:00Z", "--until", "2027-01-16T09:00Z")

    assert command("silence", "add", "a=1", *times, "--reason", "x", "--json") == 0
    found = command.document["silence"]
    assert (found["state"], found["starts_at"]) == ("pending", "2027-01-16T08:00:00Z")
    assert command("silence", "list", "--state", "active") == 1
    assert command("silence", "list") == 0
    assert "pending" in command.out


def test_a_dry_run_keeps_nothing(command: Command, book: SilenceBook, home: House) -> None:
    """A dry run says what would be muted, and neither silences nor leaves a line."""
    home.report(make_alert("A"))

    assert command(*ADD, "--dry-run") == 0

    assert command.out.splitlines()[1] == "dry run: mutes 1 now: A"
    assert book.all() == []
    assert command("history") == 1


def test_list(command: Command) -> None:
    """Silences are listed with state, matchers, end, author and reason."""
    command(*ADD)

    assert command("silence", "list") == 0
    head, row = command.out.splitlines()
    assert head.split() == ["ID", "STATE", "MUTES", "STARTS", "ENDS", "AUTHOR", "REASON"]
    assert 'active  {alertname="A"}' in row
    assert row.endswith("dana    a planned change")
    assert command("silence", "list", "--json") == 0
    assert command.document["silences"][0]["author"] == "dana"


def test_nothing_to_list(command: Command) -> None:
    """No silences: an answer, and the code for no."""
    assert command("silence", "list") == 1
    assert command.out == "no silences\n"
    assert command("silence", "list", "--json") == 1
    assert command.document == {"silences": []}


def test_expire(command: Command, book: SilenceBook) -> None:
    """A silence goes by the beginning of its id; ended once it stays ended."""
    command(*ADD)
    [kept] = book.all()

    assert command("silence", "expire", kept.id[:6], "--dry-run") == 0
    assert book.in_force(NOW)({"alertname": "A"}) == kept.id
    assert command("silence", "expire", kept.id[:6]) == 0
    assert "is heard again" in command.out
    assert book.in_force(NOW)({"alertname": "A"}) is None
    assert command("silence", "expire", kept.id) == 1
    assert "it is over already" in command.out
    assert command("silence", "list", "--state", "expired") == 0


def test_change(command: Command, book: SilenceBook) -> None:
    """A longer end keeps the silence; other matchers end it and make another."""
    command(*ADD)
    [kept] = book.all()

    longer = ("silence", "add", "alertname=A", "--for", "5h", "--reason", "more", "--id", kept.id)
    assert command(*longer) == 0
    assert [(one.id, one.ends_at) for one in book.all()] == [(kept.id, NOW + 5 * 3600)]
    assert command(*longer[:2], "alertname=B", *longer[3:]) == 0
    assert len(book.all()) == 2


def test_the_longest_is_configured(command: Command, tmp_path: Path) -> None:
    """How long a silence may last is the configuration's."""
    file = tmp_path / "hooks.yaml"
    file.write_text(
        "alerting:\n  global: {max_silence_duration: 1h}\n"
        "  route: {receiver: a}\n  receivers: [{name: a, log_configs: [{}]}]\n"
    )
    command.environ["SYNAP_CONFIG"] = str(file)

    assert command(*ADD) == 2
    assert "it would last 2 h; at most 1 h are allowed" in command.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["a=1", "--reason", "x"], "say how long", id="no end"),
        pytest.param(
            ["a=1", "--for", "1h", "--until", "2027-01-31", "--reason", "x"],
            "say how long",
            id="two",
        ),
        pytest.param(["a=1", "--for", "1h"], "Missing option '--reason'", id="no reason"),
        pytest.param(["--for", "1h", "--reason", "x"], "Missing argument", id="nobody"),
        pytest.param(
            ["a", "--for", "1h", "--reason", "x"], "bad matcher format: a", id="no matcher"
        ),
        pytest.param(["a=~[", "--for", "1h", "--reason", "x"], "invalid regular", id="regex"),
        pytest.param(["a=~.*", "--for", "1h", "--reason", "x"], "empty text", id="everybody"),
        pytest.param(
            ["a=1", "--for", "1h", "--reason", "x", "--actor", ""], "add --actor", id="no author"
        ),
        pytest.param(["a=1", "--until", "2020-01-01", "--reason", "x"], "before", id="past"),
    ],
)
def test_what_is_refused(
    command: Command, book: SilenceBook, arguments: list[str], says: str
) -> None:
    """What could mute everything, has no end, author or reason is refused with 2."""
    assert command("silence", "add", *arguments) == 2
    assert says in command.err
    assert book.all() == []


def test_nobody_by_that_id(command: Command, book: SilenceBook) -> None:
    """An unknown id, or the beginning of several, is said to be so."""
    command(*ADD)
    command(*ADD)

    assert command("silence", "expire", "nobody") == 1
    assert "no silence has the id nobody" in command.err
    assert command("silence", "expire", "") == 1
    assert "2 silences begin with" in command.err
    assert len(book.all()) == 2
