"""`synap-hooks settings`, help, and what every command does about trouble."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.build import SECRET
from tests.servers import ROOT
from tests.workers.cli.command import Command

GROUPS = {
    (): {
        "acl",
        "alerts",
        "backtest",
        "check-config",
        "dead",
        "deliveries",
        "drill",
        "events",
        "history",
        "maca",
        "quarantine",
        "rotation",
        "routes",
        "send",
        "settings",
        "sign",
        "silence",
        "verify",
    },
    ("acl",): {"rules", "urls"},
    ("events",): {"list", "show", "replay"},
    ("dead",): {"list", "show", "replay", "discard"},
    ("quarantine",): {"list", "show", "release", "discard"},
    ("settings",): {"print"},
    ("alerts",): {"list", "explain", "ack", "unack"},
    ("silence",): {"add", "list", "expire"},
    ("deliveries",): {"list", "replay"},
    ("routes",): {"show", "test"},
}
READS_REDIS = (
    ("events", "list"),
    ("events", "show", "x"),
    ("events", "replay", "x"),
    ("dead", "list"),
    ("dead", "discard", "x"),
    ("quarantine", "list"),
    ("quarantine", "release", "--reason", "x", "--limit", "1"),
    ("history",),
    ("alerts", "list"),
    ("alerts", "explain", "x"),
    ("alerts", "ack", "x"),
    ("alerts", "unack", "x"),
    ("silence", "add", "a=b", "--for", "1h", "--reason", "x"),
    ("silence", "list"),
    ("silence", "expire", "x"),
    ("deliveries", "list"),
    ("deliveries", "replay", "x"),
    ("drill", "log"),
    ("backtest", "--config", "workers/alerting/example.yaml"),
)


@pytest.mark.parametrize("role", ["receiver", "workers"])
def test_settings_are_resolved_and_masked(role: str) -> None:
    """Every setting of a role is printed as resolved; secrets never are."""
    command = Command(
        "redis://me:hunter2@127.0.0.1/0",
        SYNAP_WEBHOOK_SECRET=SECRET,
        PAGERDUTY_ROUTING_KEY="R0UT1NGKEY",
        SYNAP_DEDUP_WINDOW="40d",
    )

    assert command("settings", "print", "--role", role) == 0
    assert "SYNAP_DEDUP_WINDOW" in command.out
    assert "redis://***@127.0.0.1/0" in command.out
    assert not {SECRET, "hunter2", "R0UT1NGKEY"} & set(command.out.split())
    assert command("settings", "print", "--role", role, "--json") == 0
    assert command.document["role"] == role
    assert command.document["settings"]["SYNAP_REDIS_URL"] == "redis://***@127.0.0.1/0"
    assert "hunter2" not in command.out


def test_every_problem_of_the_settings_at_once() -> None:
    """Wrong settings end with 2, and each variable is named."""
    command = Command("http://x", SYNAP_LEASE="long", SYNAP_ACK="maybe")

    assert command("settings", "print") == 2
    assert {"SYNAP_REDIS_URL:", "SYNAP_LEASE:", "SYNAP_ACK:"} <= set(command.err.split())


@pytest.mark.parametrize("arguments", READS_REDIS, ids=" ".join)
def test_redis_is_unreachable(arguments: tuple[str, ...]) -> None:
    """Without Redis a command ends with 3, says where it looked and how to mend it."""
    command = Command("redis://me:hunter2@127.0.0.1:1/0")

    assert command(*arguments) == 3
    assert "Redis at redis://127.0.0.1:1: " in command.err
    assert "set SYNAP_REDIS_URL" in command.err
    assert "Traceback" not in command.err
    assert "hunter2" not in command.err


def test_sentinels_are_unreachable() -> None:
    """Without Sentinels a command says the same in one line and plain words."""
    command = Command("redis+sentinel://me:hunter2@127.0.0.1:1,127.0.0.1:2/hooks")

    assert command("dead", "list") == 3
    assert command.err.strip() == (
        "Error: Redis at redis+sentinel://127.0.0.1:1,127.0.0.1:2/hooks: No master found for "
        "'hooks'. Start it, or set SYNAP_REDIS_URL to the one that the service uses."
    )


@pytest.mark.parametrize("arguments", READS_REDIS, ids=" ".join)
def test_settings_are_wrong(arguments: tuple[str, ...]) -> None:
    """With wrong settings a command ends with 2 before it does anything."""
    assert Command("http://x")(*arguments) == 2


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_help_names_every_command(group: tuple[str, ...]) -> None:
    """The help of each group lists its commands, each with a sentence."""
    command = Command()

    assert command(*group, "--help") == 0
    commands = command.out.partition("Commands:\n")[2].partition("\n\n")[0]
    lines = [line.split(maxsplit=1) for line in commands.splitlines()]
    assert {name for name, _ in lines} == GROUPS[group]
    assert all(text.endswith(".") and not text.endswith("...") for _, text in lines)


def test_the_entry_of_the_console_script() -> None:
    """`workers.cli:main` runs as a program with the shell's environment and clock."""
    code = "import workers.cli; workers.cli.main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "settings", "print"],
        cwd=ROOT,
        env={"SYNAP_LEASE": "45s"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "SYNAP_LEASE" in ended.stdout
