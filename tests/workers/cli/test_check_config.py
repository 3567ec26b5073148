"""`synap-hooks check-config`: every problem with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.cli.command import Command

VALID = """
alerting:
  route: {receiver: team}
  receivers: [{name: team, log_configs: [{}]}]
"""
BROKEN = """
alerting:
  route:
    recever: team
    routes: [{receiver: nobody}]
  receivers: [{name: team}]
events:
  ingestion.failed: {burst: none}
"""


@pytest.fixture
def command() -> Command:
    """Return the command without a Redis: a file is checked anywhere."""
    return Command()


def written(folder: Path, text: str) -> str:
    """Return the name of a file with this text."""
    file = folder / "hooks.yaml"
    file.write_text(text)
    return str(file)


def test_a_valid_file(command: Command, tmp_path: Path) -> None:
    """A file that the workers would start with ends with 0 and says what is in it."""
    file = written(tmp_path, VALID)

    assert command("check-config", file) == 0
    assert command.out == (
        f"{file}: valid: 1 route, 1 receiver, 0 inhibition rules, 0 time intervals\n"
    )
    assert command("check-config", file, "--json") == 0
    assert command.document == {"file": file, "valid": True, "problems": [], "warnings": []}


def test_every_problem_at_once(command: Command, tmp_path: Path) -> None:
    """Problems of all sections are named with file and line, and the command ends with 1."""
    file = written(tmp_path, BROKEN)

    assert command("check-config", file) == 1
    assert command.out.splitlines() == [
        f"{file}:4: root route must specify a default receiver",
        f'{file}:4: unknown field "recever" in route (did you mean "receiver"?)',
        f'{file}:5: undefined receiver "nobody" used in route',
        f'{file}:8: field "burst" must be a whole number, at least 1',
        f"{file}: not valid, 4 problems",
    ]
    assert command("check-config", file, "--json") == 1
    assert [found["line"] for found in command.document["problems"]] == [4, 4, 5, 8]


def test_wrong_settings_are_told_with_the_file(tmp_path: Path) -> None:
    """With wrong settings it ends with 2, and what is wrong in the file is told all the same."""
    file = written(tmp_path, BROKEN)
    command = Command(SYNAP_LEASE="long")

    assert command("check-config", file) == 2
    assert "SYNAP_LEASE: " in command.err
    assert f'{file}:5: undefined receiver "nobody" used in route' in command.err


def test_doubts_are_warnings(command: Command, tmp_path: Path) -> None:
    """What is allowed but doubtful is said with its line; --strict ends with 1 for it."""
    file = written(tmp_path, VALID.replace("}]}]", "}]}, {name: idle}]"))

    assert command("check-config", file) == 0
    assert f'{file}:4: warning: receiver "idle" is used by no route' in command.out
    assert command("check-config", file, "--strict") == 1


def test_a_file_that_is_not_there(command: Command, tmp_path: Path) -> None:
    """A file that cannot be read is one problem."""
    assert command("check-config", str(tmp_path / "none.yaml")) == 1
    assert "unreadable" in command.out


def test_the_example_is_valid_as_it_stands(command: Command, tmp_path: Path) -> None:
    """The example that is printed passes the check, without a doubt."""
    assert command("check-config", "--example") == 0
    file = written(tmp_path, command.out)

    assert command("check-config", file, "--strict") == 0
    assert "valid: 12 routes, 3 receivers, 1 inhibition rule, 1 time interval" in command.out


def test_the_example_needs_no_secret_of_the_environment(command: Command, tmp_path: Path) -> None:
    """Keys are in files of their own: neither the check nor its output knows any."""
    command("check-config", "--example")

    assert "routing_key_file: /run/secrets/" in command.out
    assert "routing_key:" not in command.out
    assert command("check-config", written(tmp_path, command.out)) == 0


@pytest.mark.parametrize("arguments", [[], ["file", "--example"]])
def test_one_thing_at_a_time(command: Command, arguments: list[str]) -> None:
    """Either a file is checked, or the example is printed."""
    assert command("check-config", *arguments) == 2
    assert "name one FILE, or ask for the --example" in command.err
