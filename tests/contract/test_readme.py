"""What the README promises beside its tables."""

from __future__ import annotations

import re

from tests.contract.readme import first_column, section
from tests.servers import ROOT
from workers.cli.exits import ExitCode
from workers.cli.root import cli

LINK = re.compile(r"\]\(#([\w-]+)\)")
ALERT = re.compile(r'"(Synap(?!Hooks\b")[A-Z]\w+)"')


def anchors() -> set[str]:
    """Return the anchors of the README's headings."""
    text = (ROOT / "README.md").read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_alert_has_a_runbook() -> None:
    """The runbook that an alert links to exists under its name."""
    names = {
        name
        for path in (ROOT / "workers").rglob("*.py")
        for name in ALERT.findall(path.read_text())
    }

    assert names
    assert {name.lower() for name in names} <= anchors()


def test_links_lead_somewhere() -> None:
    """Each link within the README has its heading."""
    assert set(LINK.findall((ROOT / "README.md").read_text())) <= anchors()


def test_exit_codes_are_documented() -> None:
    """The README names every exit code of the command line."""
    rows = re.findall(r"^\| (\d) \|", section("The command line"), re.MULTILINE)

    assert [int(code) for code in rows] == [code.value for code in ExitCode]


def test_commands_are_documented() -> None:
    """The README names every command, and no other."""
    table = section("The command line")
    rows = "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    documented = set(re.findall(r"`([a-z -]+)`", rows))

    there = {
        f"{name} {inner}".strip()
        for name, command in cli.commands.items()
        for inner in (getattr(command, "commands", None) or [""])
    }

    assert documented == there


def test_tables_name_each_thing_once() -> None:
    """No table has two rows for one name."""
    for title in ("Settings", "Metrics"):
        names = first_column(title)
        assert len(names) == len(set(names))
