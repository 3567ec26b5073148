"""`synap-hooks routes`: the tree, where an alert would go, and why."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path
from random import Random

import pytest
import yaml

from tests.workers.cli.command import Command

AMTOOL = shutil.which("amtool")

TREE = """
route:
  receiver: root
  group_by: [alertname]
  routes:
    - receiver: first
      matchers: ['team="a"']
      continue: true
    - receiver: second
      matchers: ['team=~"a|b"']
      group_wait: 5s
      active_time_intervals: [hours]
      routes:
        - {receiver: deep, matchers: ['severity!~"info|low"'], continue: true}
        - {receiver: deep, matchers: ['severity="critical"']}
    - receiver: missing
      matchers: ['team=""', 'zone=""']
receivers: [{name: root}, {name: first}, {name: second}, {name: deep}, {name: missing}]
time_intervals:
  - name: hours
    time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}]}]
"""


@pytest.fixture
def command() -> Command:
    """Return the command without a Redis: routes are tried anywhere."""
    return Command()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return the name of a file written for Alertmanager."""
    found = tmp_path / "alertmanager.yml"
    found.write_text(TREE)
    return str(found)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        pytest.param(["team=a"], ["first", "deep"], id="continue, and a missing label"),
        pytest.param(["team=a", "severity=info"], ["first", "second"], id="no child takes it"),
        pytest.param(["team=b", "severity=critical"], ["deep", "deep"], id="twice the same"),
        pytest.param(["team=c"], ["root"], id="nobody"),
        pytest.param(["zone=", "other=1"], ["missing"], id="empty is missing"),
    ],
)
def test_receivers_in_order(
    command: Command, file: str, labels: list[str], receivers: list[str]
) -> None:
    """The document names the receivers reached, in order, and nothing else."""
    assert command("routes", "test", "--config", file, "--json", *labels) == 0
    assert command.document == {"receivers": receivers}


def test_why(command: Command, file: str) -> None:
    """For a person each route says what it did, and when it would be heard."""
    night = "2027-01-15T03:00Z"

    assert command("routes", "test", "--config", file, "--at", night, "team=a", "severity=low") == 0

    reached, asked = (part.splitlines() for part in command.out.split("\n\n"))
    assert [line.split()[0] for line in reached[1:]] == ["first", "second"]
    assert "silent: outside hours" in reached[2]
    assert "heard" in reached[1]
    assert [" ".join(line.split()) for line in asked[1:]] == [
        "{} no left to the routes below it 3",
        '-- {team="a"} (continue) yes all its matchers hold; goes on (continue) 6',
        '-- {team=~"a|b"} yes all its matchers hold, and no route below takes it 9',
        '---- {severity!~"info|low"} (continue) no severity="low" is not severity!~"info|low" 14',
        '---- {severity="critical"} no severity="low" is not severity="critical" 15',
        '-- {team="",zone=""} no not asked: the one before took it and does not continue 16',
    ]


def test_by_day_it_is_heard(command: Command, file: str) -> None:
    """The hours are those of the moment that is asked for; now, if none is."""
    noon = "2027-01-15T12:00Z"

    assert command("routes", "test", "--config", file, "--at", noon, "team=b", "severity=low") == 0
    assert "silent" not in command.out
    assert command("routes", "test", "--config", file, "team=b", "severity=low") == 0
    assert "silent: outside hours" in command.out


def test_show(command: Command, file: str) -> None:
    """The tree is shown with everything that each route inherits."""
    assert command("routes", "show", "--config", file) == 0
    lines = [" ".join(line.split()) for line in command.out.splitlines()]
    assert lines[1] == "{} root alertname 30s 5m 4h - 3"
    assert lines[3] == '-- {team=~"a|b"} second alertname 5s 5m 4h in hours 9'

    assert command("routes", "show", "--config", file, "--json") == 0
    root = command.document["route"]
    assert root["routes"][1]["routes"][0]["group_wait"] == 5.0
    assert root["routes"][0]["matchers"] == ['team="a"']


def test_without_a_file_the_workers_own(command: Command) -> None:
    """What is tried by default is what the environment's workers go by."""
    command.environ["PAGERDUTY_ROUTING_KEY"] = "k" * 32

    assert (
        command("routes", "test", "--json", "event_type=credential.expiring", "severity=low") == 0
    )
    assert command.document == {"receivers": ["pagerduty", "log"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "give labels", id="nothing"),
        pytest.param(["a=b", "--cases", "x"], "or --cases FILE", id="both"),
        pytest.param(["team"], "'team' is no label: write name=value", id="no label"),
        pytest.param(["=a"], "is no label", id="no name"),
        pytest.param(["a=1", "a=2"], "the label a is given twice", id="twice"),
        pytest.param(["a=1", "--at", "noon"], "is no moment", id="no moment"),
        pytest.param(["a=1", "--config", "none.yml"], "unreadable", id="no file"),
    ],
)
def test_what_cannot_be_tried(command: Command, arguments: list[str], says: str) -> None:
    """A command line that cannot be understood ends with 2 and says how to write it."""
    assert command("routes", "test", *arguments) == 2
    assert says in command.err


CASES = """
cases:
  - name: critical of b
    labels: {team: b, severity: critical}
    receivers: [deep, deep]
  - labels: {team: c}
    receivers: [root]
"""


def test_cases(command: Command, file: str, tmp_path: Path) -> None:
    """A file of cases is tried wholly; all hold, so the command ends with 0."""
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES)

    assert command("routes", "test", "--config", file, "--cases", str(cases)) == 0
    lines = [" ".join(line.split()) for line in command.out.splitlines()]
    assert lines[1:] == [
        "critical of b 3 deep,deep deep,deep holds",
        "team=c 6 root root holds",
        "2 hold, 0 do not",
    ]


def test_cases_that_differ(command: Command, file: str, tmp_path: Path) -> None:
    """Any case that does not hold ends with 1; order counts."""
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.replace("[root]", "[root, first]"))

    assert command("routes", "test", "--config", file, "--cases", str(cases), "--json") == 1
    assert command.document["ok"] is False
    assert [case["ok"] for case in command.document["cases"]] == [True, False]
    assert command("routes", "test", "--config", file, "--cases", str(cases)) == 1
    assert "DIFFERS" in command.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "there are no cases", id="empty"),
        pytest.param("cases: []", "there are no cases", id="none"),
        pytest.param("cases: [{labels: {a: b}}]", ":1: a case needs the receivers", id="no end"),
        pytest.param("cases: [{receivers: [a]}]", ":1: a case needs labels", id="no start"),
        pytest.param("case: []", 'unknown field "case"', id="misspelt"),
    ],
)
def test_cases_that_are_none(command: Command, tmp_path: Path, text: str, says: str) -> None:
    """A file without cases proves nothing: it ends with 2."""
    cases = tmp_path / "cases.yaml"
    cases.write_text(text)

    assert command("routes", "test", "--cases", str(cases)) == 2
    assert says in command.err


def of_amtool(file: str, labels: list[str]) -> list[str]:
    """Return the receivers that Alertmanager's own tool names."""
    assert AMTOOL
    ran = subprocess.run(
        [AMTOOL, "config", "routes", "test", f"--config.file={file}", *labels],
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip().split(",")


@pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed")
@pytest.mark.parametrize(
    "labels",
    [
        [
            f"{name}={value}"
            for name, value in zip(("team", "severity", "zone"), values, strict=True)
        ]
        for values in product(("a", "b", "c"), ("critical", "info", "x"), ("z",))
    ],
    ids=" ".join,
)
def test_the_same_answer_as_amtool(command: Command, file: str, labels: list[str]) -> None:
    """For the same file and labels the answer is that of `amtool config routes test`."""
    assert command("routes", "test", "--config", file, "--json", *labels) == 0
    assert command.document["receivers"] == of_amtool(file, labels)


OPERATORS = ("=", "!=", "=~", "!~")
VALUES = ("", "a", "b", "a|b", ".+", ".*", "[ab]", "a b")


def random_tree(random: Random, receivers: list[str], depth: int = 0) -> dict[str, object]:
    """Return a route and those below it, any of them."""
    route: dict[str, object] = {}
    if depth == 0 or random.random() < 0.8:
        route["receiver"] = random.choice(receivers)
    if depth:
        route["continue"] = random.random() < 0.4
        route["matchers"] = [
            f'{random.choice("xyz")}{random.choice(OPERATORS)}"{random.choice(VALUES)}"'
            for _ in range(random.randint(0, 2))
        ]
    if depth < 3:
        below = [random_tree(random, receivers, depth + 1) for _ in range(random.randint(0, 3))]
        route["routes"] = below
    return route


@pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed")
@pytest.mark.parametrize("seed", range(12))
def test_random_trees_as_amtool_reads_them(command: Command, tmp_path: Path, seed: int) -> None:
    """Any tree sends any alert where Alertmanager's own tool says."""
    random = Random(seed)
    receivers = [f"r{n}" for n in range(6)]
    tree = {
        "route": random_tree(random, receivers),
        "receivers": [{"name": name} for name in receivers],
    }
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))

    for _ in range(4):
        labels = [f"{name}={random.choice(('a', 'b', 'c', 'ab'))}" for name in "xyz"]
        labels = random.sample(labels, random.randint(1, 3))
        assert command("routes", "test", "--config", str(file), "--json", *labels) == 0
        assert command.document["receivers"] == of_amtool(str(file), labels), labels
