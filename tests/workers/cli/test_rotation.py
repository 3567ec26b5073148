"""`synap-hooks rotation`, as a person types it, against a whole Synap and a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.build import NOW
from tests.sandbox.clock import VirtualClock
from tests.sandbox.sandbox import CLIENT, INSTANCE, Sandbox
from tests.workers.cli.command import Command
from workers.cli.rotation_session import composed
from workers.cli.session import World

HOUR = 3_600.0
CONFIG = """\
rotation:
  credentials:
    - name: production
      mode: {mode}
      stores: [{{type: file, path: key}}]
      rollout: {{type: none}}
    - name: hooks
      type: webhook_secret
"""


class Office:
    """A person's shell, a Synap, a key in a file, and a worker that does as the tick would."""

    def __init__(self, redis: Redis, url: str, synap: Sandbox, folder: Path) -> None:
        self.redis, self.synap, self.folder = redis, synap, folder
        self.clock = VirtualClock(NOW)
        self.old = synap.issue_key("old")
        (folder / "key").write_text(self.old)
        self.configure("automatic")
        config = str(folder / "c.yaml")
        self.command = Command(url, SYNAP_CONFIG=config, SYNAP_API_URL=synap.url)

    def configure(self, mode: str) -> None:
        """Write the configuration."""
        (self.folder / "c.yaml").write_text(CONFIG.format(mode=mode))

    def run(self, *words: str, stdin: str = "") -> int:
        """Run `synap-hooks rotation` now and return its exit code."""
        return self.command.at(self.clock(), "rotation", *words, stdin=stdin)

    def json(self, *words: str, stdin: str = "") -> Any:
        """Run it with --json and return what it printed."""
        self.run(*words, "--json", stdin=stdin)
        return self.command.document

    def work(self) -> str:
        """Carry the rotation on that is under way, as the worker does; return its state."""
        world = World(environ=self.command.environ, clock=self.clock)
        with composed(world) as (rotations, _):
            found = rotations.book.active("production")
            assert found is not None
            self.clock.advance(max(0.0, found.due_at - self.clock()))
            rotations.machine.advance(found.id)
            after = rotations.book.read(found.id)
            assert after is not None
            return str(after.state)

    def awaiting(self) -> str:
        """Begin a rotation, carry it to where a key is waited for, and return its id."""
        rotation_id: str = self.json("start", "production")["rotation"]["id"]
        assert self.work() == "awaiting_key"
        return rotation_id


@pytest.fixture
def office(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    """Yield an office with one credential to rotate."""
    synap = Sandbox(clock=VirtualClock(NOW))
    yield Office(redis, redis_url, synap, tmp_path)
    synap.close()


def test_plan(office: Office) -> None:
    """Every credential with its next start and its verdict; signing keys with their last use."""
    office.redis.hset("synap:keys", "default/key-1", str(NOW - 60))
    office.redis.hset("synap:keys", "default/key-0", str(NOW - 24 * HOUR))

    code = office.run("plan")

    assert code == 0
    assert "production  api_key         automatic" in office.command.out
    assert "signing key key-1" in office.command.out
    assert "in use" in office.command.out
    assert "safe to retire" in office.command.out


def test_plan_in_json(office: Office) -> None:
    """The same as one document; what cannot be done in time ends with 1."""
    office.redis.hset(
        "synap:rotation:credential:production", mapping={"expires_at": NOW + HOUR, "seen_at": NOW}
    )

    code = office.run("plan", "--json")

    production, hooks = office.command.document["credentials"]
    assert code == 1
    assert not production["feasible"]
    assert production["expires_at"] == "2027-01-15T09:00:00Z"
    assert hooks["signing_keys"] == []


def test_nothing_is_configured(office: Office) -> None:
    """Without a section there is nothing to plan."""
    (office.folder / "c.yaml").write_text("")

    assert office.run("plan") == 0
    assert "no credentials are configured" in office.command.out


def test_start_list_show(office: Office) -> None:
    """What was begun is listed, and shown by the beginning of its id or by its credential."""
    assert office.run("list") == 0
    assert "no rotations" in office.command.out

    assert office.run("start", "production", "--why", "quarterly") == 0
    assert "started: " in office.command.out
    rotation_id = office.json("list")["rotations"][0]["id"]

    assert office.json("show", rotation_id[:6])["rotation"]["id"] == rotation_id
    assert office.json("show", "production")["rotation"]["last"]["detail"] == "quarterly"
    assert office.run("show", "production") == 0
    assert office.run("list", "--active") == 0
    assert rotation_id[:8] in office.command.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("start", "nowhere"), 1, "no credential 'nowhere'", id="unknown-credential"),
        pytest.param(("show", "feed"), 1, "no rotation goes by", id="unknown-id"),
        pytest.param(("show", "ab"), 1, "no rotation goes by", id="too-short"),
        pytest.param(("start", "production", "--actor", ""), 2, "nobody is named", id="nobody"),
        pytest.param(("revoke-now", "production"), 2, "needs a reason", id="glass-needs-reason"),
        pytest.param(("extend", "production"), 2, "Missing option '--by'", id="by-how-much"),
    ],
)
def test_mistakes(office: Office, words: tuple[str, ...], code: int, said: str) -> None:
    """Each ends with its code and says what is wrong."""
    assert office.run(*words) == code
    assert said in office.command.err


def test_submit(office: Office) -> None:
    """The key is read from standard input, verified, and lies in the pending slot."""
    rotation_id = office.awaiting()
    new = office.synap.issue_key("new")

    code = office.run("submit", rotation_id[:8], stdin=f"{new}\n")

    assert code == 0
    assert "submitted: " in office.command.out
    assert new not in office.command.out + office.command.err
    assert (office.folder / "key.pending").read_text() == new
    assert (office.folder / "key").read_text() == office.old


def test_submit_refuses_another_instances_key(office: Office) -> None:
    """With the reason, and nothing is changed."""
    rotation_id = office.awaiting()
    office.synap.add_instance("inst_0000000000000000", CLIENT)
    foreign = office.synap.issue_key("theirs", instance_id="inst_0000000000000000")

    refused = office.json("submit", rotation_id, stdin=foreign)["refused"]

    assert refused["reason"] == "other_identity"
    assert not (office.folder / "key.pending").exists()
    assert office.run("submit", rotation_id, stdin=foreign) == 1
    assert "refused (other_identity)" in office.command.err


@pytest.mark.parametrize("text", ["", "two words", "x" * 5_000], ids=["empty", "two", "long"])
def test_submit_wants_one_key(office: Office, text: str) -> None:
    """Anything else on standard input is a misuse."""
    rotation_id = office.awaiting()

    assert office.run("submit", rotation_id, stdin=text) == 2
    assert "the new key and nothing else" in office.command.err


def test_orders(office: Office) -> None:
    """Pause, resume, extend, approve and roll back, each with its line of history."""
    office.configure("approve")
    rotation_id = office.awaiting()
    assert office.run("pause", rotation_id, "--why", "lunch") == 0
    assert office.run("resume", rotation_id) == 0
    assert office.run("extend", rotation_id, "--by", "24h") == 1
    office.run("submit", rotation_id, stdin=office.synap.issue_key("new"))
    assert office.work() == "stored_pending"
    assert office.run("show", rotation_id) == 0
    assert office.run("approve", rotation_id) == 0
    assert office.work() == "overlap"
    assert (office.folder / "key").read_text() != office.old
    assert office.run("extend", rotation_id, "--by", "24h", "--actor", "kim") == 0
    assert office.run("rollback", rotation_id, "--why", "errors") == 0

    assert office.run("history", rotation_id) == 0
    exported = office.json("history", rotation_id)
    assert exported["unbroken"] is True
    said = [(line["actor"], line["outcome"]) for line in exported["history"]]
    assert ("dana", "pause") in said
    assert ("kim", "more") in said
    assert ("dana", "roll_back") in said


def test_revoke_now(office: Office) -> None:
    """Breaking the glass asks whether it is meant; no is no."""
    rotation_id = office.awaiting()
    office.run("submit", rotation_id, stdin=office.synap.issue_key("new"))
    assert office.work() == "overlap"

    assert office.run("revoke-now", rotation_id, "--why", "leaked", stdin="n\n") == 1
    assert office.work() == "overlap"
    assert office.run("revoke-now", rotation_id, "--why", "leaked", "--yes") == 0
    assert office.work() == "revoking"


def test_a_broken_chain_shows(office: Office) -> None:
    """A line that somebody took out of the history is missed."""
    rotation_id = office.awaiting()
    office.redis.lrem(
        f"synap:rotation:history:{rotation_id}",
        1,
        office.redis.lindex(f"synap:rotation:history:{rotation_id}", 1),
    )

    assert office.run("history", rotation_id) == 0
    assert "the chain is broken" in office.command.out


def test_a_wrong_configuration(office: Office) -> None:
    """Every problem is named with its line, and nothing is done."""
    (office.folder / "c.yaml").write_text("rotation:\n  credentials: [{name: a, mode: auto}]\n")

    assert office.run("list") == 2
    assert "c.yaml:2" in office.command.err


def test_the_instance_is_the_sandboxs(office: Office) -> None:
    """The identity that is compared is the one that Synap tells."""
    office.awaiting()

    found = office.json("show", "production")["rotation"]

    assert (found["client_id"], found["instance_id"]) == (CLIENT, INSTANCE)


def test_show_says_what_is_asked_of_a_person(office: Office) -> None:
    """What on-call is told stands below the facts, with what to type; the unknown is left out."""
    rotation_id = office.awaiting()

    found = office.json("show", rotation_id)["rotation"]
    office.run("show", "production")

    [asked] = found["asks"]
    assert asked["alert"] == "SynapRotationAwaitingKey"
    assert f"synap-hooks rotation submit {rotation_id[:8]}" in asked["then"]
    assert asked["then"] in office.command.out
    assert "revoked_at" not in office.command.out


def test_why_is_kept(office: Office) -> None:
    """Every order's reason stands in the history."""
    rotation_id = office.awaiting()

    office.run("submit", rotation_id, "--why", "ticket 7", stdin=office.synap.issue_key("new"))

    lines = office.json("history", rotation_id)["history"]
    assert any(line["detail"].endswith(": ticket 7") for line in lines)
