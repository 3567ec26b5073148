"""`synap-hooks deliveries`: what is on its way, and what never arrived."""

from __future__ import annotations

import pytest

from tests.build import make_alert
from tests.sink import Sink
from tests.workers.alerting.house import TAKEN, House, events
from tests.workers.cli.command import Command

ALERT = make_alert("A", annotations={"summary": "it broke"})


@pytest.fixture
def dead(home: House, sink: Sink) -> House:
    """Return alerting whose only page was refused for good."""
    sink.answer(400, b'{"status":"invalid event","message":"no"}')
    home.report(ALERT)
    home.tick()
    return home


def letter(command: Command) -> str:
    """Return the id of the only dead delivery."""
    command("deliveries", "list", "--state", "dead", "--json")
    [found] = command.document["deliveries"]
    return str(found["id"])


def test_what_is_on_its_way(command: Command, home: House, sink: Sink) -> None:
    """A delivery that is tried again is listed with its target, tries, next attempt and reason."""
    sink.answer(500, b"")
    home.report(ALERT)
    home.tick()

    assert command("deliveries", "list") == 0
    head, row = command.out.splitlines()
    assert head.split()[:5] == ["STATE", "TARGET", "STATUS", "WHAT", "TRIES"]
    assert row.split()[:3] == ["waiting", "page/pagerduty/0", "firing"]
    assert "it broke" in row
    assert "serverError" in row
    assert command("deliveries", "list", "--json", "--state", "waiting") == 0
    [found] = command.document["deliveries"]
    assert (found["attempts"], found["died_at"], found["title"]) == (1, None, "it broke")


def test_nothing_on_its_way(command: Command) -> None:
    """No deliveries: an answer, and the code for no."""
    assert command("deliveries", "list") == 1
    assert command.out == "no deliveries\n"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        pytest.param(["--state", "dead"], 1, id="dead"),
        pytest.param(["--state", "waiting"], 0, id="waiting"),
        pytest.param(["--target", "page/*"], 1, id="target"),
        pytest.param(["--target", "team/*"], 0, id="another target"),
        pytest.param(["--reason", "clientError"], 1, id="reason"),
        pytest.param(["--reason", "rate*"], 0, id="another reason"),
        pytest.param(["--older-than", "1s"], 0, id="too young"),
    ],
)
def test_filters(command: Command, dead: House, arguments: list[str], count: int) -> None:
    """State, target, reason and age narrow the list."""
    assert dead.rows()[0]["outcome"] == "failed"
    assert command("deliveries", "list", "--json", *arguments) == (0 if count else 1)
    assert len(command.document["deliveries"]) == count


def test_replay(command: Command, dead: House, sink: Sink) -> None:
    """A dead delivery is tried again and told; the history says who asked for it."""
    name = letter(command)
    sink.answer(202, TAKEN)

    assert command("deliveries", "replay", name[:12]) == 0
    assert "is tried again" in command.out
    dead.tick()

    assert [action for action, _ in events(sink)][-1] == "trigger"
    assert command("deliveries", "list", "--state", "dead") == 1
    assert command("history", "--json") == 0
    [line] = command.document["history"]
    assert (line["action"], line["subject"]) == ("replay-delivery", name)


def test_replay_by_filter(command: Command, dead: House) -> None:
    """A filter needs a bound; a dry run only names what it would act on."""
    assert dead.group_ids()
    assert command("deliveries", "replay", "--target", "page/*") == 2
    assert "needs a bound" in command.err
    assert command("deliveries", "replay", "--target", "page/*", "--limit", "5", "--dry-run") == 0
    assert "dry run: replay would act on 1; nothing was done" in command.out
    assert command("deliveries", "replay", "--target", "page/*", "--limit", "5") == 0
    assert command("deliveries", "replay", "--target", "page/*", "--limit", "5") == 1


def test_what_is_over_stays_dead(command: Command, dead: House) -> None:
    """An incident that is over is not opened again, unless a person insists."""
    name = letter(command)
    for key in dead.redis.keys("synap:alerting:group:*"):
        dead.redis.delete(key)

    assert command("deliveries", "replay", name) == 1
    assert "its group is over; --force tells of it all the same" in command.out
    assert command("deliveries", "replay", name, "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param([], 2, "give names, or a filter", id="nothing"),
        pytest.param(["x", "--target", "y"], 2, "not both", id="both"),
        pytest.param(["nobody"], 1, "no dead delivery has the id nobody", id="nobody"),
    ],
)
def test_what_cannot_be_replayed(
    command: Command, dead: House, arguments: list[str], code: int, says: str
) -> None:
    """An order that names nothing, too much or nobody is refused."""
    assert dead
    assert command("deliveries", "replay", *arguments) == code
    assert says in command.err
