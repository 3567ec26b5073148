"""The README's examples are right as they stand."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import click
import pytest
import yaml

from receiver.settings import load
from tests.servers import ROOT
from tests.workers.cli.command import Command
from workers.cli.check_config import example_text
from workers.cli.root import cli
from workers.configuration import configuration
from workers.settings import WorkerSettings

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(synap-hooks [^`…]+)`")
SECTIONS = frozenset({"alerting", "events", "guard", "synap", "rotation"})


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return [textwrap.dedent(text) for name, text in BLOCK.findall(README) if name == language]


def commands() -> list[str]:
    """Return every command line of ours in the README, placeholders and all."""
    lines = [line.partition(" #")[0] for text in blocks("console") for line in text.splitlines()]
    typed = [line for line in lines if line.startswith("synap-hooks ")]
    return [*typed, *INLINE.findall(README)]


CONFIGS = [text for text in blocks("yaml") if SECTIONS & set(yaml.safe_load(text))]
CASES = [text for text in blocks("yaml") if "cases" in yaml.safe_load(text)]


def test_there_is_something_to_prove() -> None:
    """The README has examples of configuration and commands."""
    assert CONFIGS
    assert commands()


@pytest.mark.parametrize("text", CONFIGS)
def test_configurations_are_valid(text: str, tmp_path: Path) -> None:
    """Each example is a file that the workers would start with."""
    file = tmp_path / "hooks.yaml"
    file.write_text(text)

    assert configuration(load(WorkerSettings, {"SYNAP_CONFIG": str(file)}))


def test_cases_hold_for_the_example(tmp_path: Path) -> None:
    """Cases that are shown hold for the configuration that is shipped."""
    (tmp_path / "hooks.yaml").write_text(example_text())
    files = ("--config", str(tmp_path / "hooks.yaml"), "--cases", str(tmp_path / "cases.yaml"))
    command = Command()

    for text in CASES:
        (tmp_path / "cases.yaml").write_text(text)
        assert command("routes", "test", *files) == 0, command.out


@pytest.mark.parametrize("line", commands())
def test_command_lines_are_understood(line: str) -> None:
    """Each command line is one that the command takes, with options that it has."""
    words = shlex.split(re.split(r" [<>|] ", line)[0])[1:]
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group) and words and words[0] in group.commands:
        group = group.commands[words.pop(0)]
    if isinstance(group, click.Group) or not words:
        assert not words, f"no command {words[0]}"
        return

    assert group.make_context("synap-hooks", words, parent=context)
