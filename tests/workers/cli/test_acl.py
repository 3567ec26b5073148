"""`synap-hooks acl`."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import pytest

from receiver.broker import texts
from tests.servers import start_redis
from tests.workers.cli.command import Command
from workers.rights import Role

SECRET = "an-administrators-secret-of-32-bytes-and-more"
URL = "redis://redis.example.com:6379/0"


@pytest.fixture
def command() -> Command:
    """Return the command of somebody who has no Redis at hand."""
    return Command()


def passwords(command: Command, secret: str = SECRET) -> dict[str, str]:
    """Return the password of each role's user."""
    assert command("acl", "urls", URL, "--json", stdin=secret) == 0
    urls: dict[str, str] = command.document["urls"]
    return {role: url.split("@")[0].rpartition(":")[2] for role, url in urls.items()}


def test_every_role_has_a_user(command: Command) -> None:
    """One line for each role, with a name of its own; the rules hold digests of the passwords."""
    known = passwords(command)

    assert command("acl", "rules", stdin=f"{SECRET}\n") == 0
    lines = command.out.splitlines()

    assert len(set(known.values())) == len(lines) == len(Role)
    for role, line in zip(Role, lines, strict=True):
        digest = hashlib.sha256(known[role].encode()).hexdigest()
        assert line.startswith(f"ACL SETUSER synap-{role} reset on #{digest} ")
        assert known[role] not in command.out
    assert SECRET not in command.out


def test_the_secret_alone_makes_the_passwords(command: Command) -> None:
    """The same secret makes the same passwords, another makes others, for each prefix its own."""
    first, again = passwords(command), passwords(command)
    other = passwords(command, SECRET + "x")
    elsewhere = passwords(Command(SYNAP_KEY_PREFIX="team-a", RQ_KEY_PREFIX="team-a:rq"))

    assert first == again
    assert not {*first.values()} & {*other.values()}
    assert not {*first.values()} & {*elsewhere.values()}


def test_urls_are_what_kubectl_reads(command: Command) -> None:
    """Each line is role=URL, the user and its password before the server's name."""
    assert command("acl", "urls", URL, "--role", "tick", "--role", "receiver", stdin=SECRET) == 0

    known = passwords(Command())
    assert command.out.splitlines() == [
        f"{role}=redis://synap-{role}:{known[role]}@redis.example.com:6379/0"
        for role in ("receiver", "tick")
    ]


def test_a_prefix_is_part_of_every_name() -> None:
    """Another release on the same server has its own users and its own keys."""
    command = Command(SYNAP_KEY_PREFIX="team-a", RQ_KEY_PREFIX="team-a:rq")

    assert command("acl", "rules", "--role", "receiver", stdin=SECRET) == 0

    assert command.out.startswith("ACL SETUSER team-a-receiver reset on ")
    assert "~team-a:event:*" in command.out
    assert "~synap:" not in command.out


def test_an_acl_file_is_taken(command: Command, tmp_path: Path) -> None:
    """A server that is started with the lines as its ACL file has the users."""
    assert command("acl", "rules", "--file", stdin=SECRET) == 0
    path = tmp_path / "users.acl"
    path.write_text(f"user default on nopass ~* &* +@all\n{command.out}")

    with closing(start_redis(config=["--aclfile", str(path)])) as server, server.client() as admin:
        users = set(texts(admin.execute_command("ACL", "USERS")))

    assert {f"synap-{role}" for role in Role} < users


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        pytest.param(["rules"], "", "standard input gave no secret", id="no secret"),
        pytest.param(["rules"], "short", "at least 32 bytes", id="short"),
        pytest.param(["urls", "http://x"], SECRET, "must be a Redis URL", id="no url"),
        pytest.param(["urls", "redis://a:b@x"], SECRET, "has a user already", id="user"),
        pytest.param(["rules", "--role", "x"], SECRET, "'x' is not one of", id="no role"),
    ],
)
def test_refusals(command: Command, arguments: list[str], stdin: str, says: str) -> None:
    """What is missing is named, with 2, and nothing is printed that could be used."""
    assert command("acl", *arguments, stdin=stdin) == 2
    assert says in command.err
    assert command.out == ""
