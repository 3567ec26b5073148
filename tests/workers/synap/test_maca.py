"""`synap-hooks maca`: show, versions, diff, check, pin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sandbox import Fault
from tests.sandbox.sandbox import INSTANCE
from tests.workers.synap.conftest import Serve
from tests.workers.synap.console import Console
from tests.workers.synap.rig import reach

YEAR = {"storage": {"retention": {"default_ttl_days": 365}}}
GUARD = f"""
guard:
  instances: [{{id: {INSTANCE}, llm_window: 8192}}]
"""


@pytest.fixture
def console(services: Serve) -> Console:
    """Return the command beside a service whose instance has two versions."""
    service = services(GUARD)
    service.active(YEAR)
    service.active({"retrieval": {"context_budget": 8192}, "storage": {"codec": "zstd"}})
    return Console(service)


def ids(console: Console) -> list[str]:
    """Return the ids of all versions, newest first."""
    assert console("maca", "versions", INSTANCE, "--json") == 0
    return [row["config_id"] for row in console.document["versions"]]


def test_show(console: Console) -> None:
    """The active version is shown field by field, with what is given, default and unknown."""
    assert console("maca", "show", INSTANCE) == 0

    lines = {" ".join(line.split()) for line in console.out.splitlines()}
    assert "retrieval.context_budget 8192 given" in lines
    assert "storage.retention.default_ttl_days 365 given" in lines
    assert "ingestion.agent_hints {} default" in lines
    assert "storage.codec zstd given, not documented" in lines
    assert "the guard's alerts context_budget" in lines


def test_show_json(console: Console) -> None:
    """The document has everything that the page has."""
    newest, first = ids(console)

    assert console("maca", "show", INSTANCE, first, "--json") == 0
    assert console.document["status"] == "superseded"
    assert console("maca", "show", INSTANCE, "--json") == 0

    shown = console.document
    assert (shown["config_id"], shown["version"], shown["status"]) == (newest, 2, "active")
    assert shown["settings"]["retrieval.context_budget"] == 8192
    assert (shown["unknown"], shown["odd"]) == (["storage.codec"], [])
    assert (shown["alerts"], shown["pinned"], shown["last_good"]) == (
        ["context_budget"],
        None,
        None,
    )


def test_versions_page_by_themselves(services: Serve) -> None:
    """However many versions there are, all are listed, or as many as asked for."""
    service = services()
    for _ in range(120):
        reach(service.sandbox.instance, "pending_review")
    console = Console(service)

    assert console("maca", "versions", INSTANCE, "--json") == 0
    assert [row["version"] for row in console.document["versions"]] == list(range(120, 0, -1))
    assert console("maca", "versions", INSTANCE, "--limit", "2") == 0
    assert len(console.out.splitlines()) == 3


def test_no_versions(services: Serve) -> None:
    """An instance without a configuration has nothing to list."""
    console = Console(services())

    assert console("maca", "versions", INSTANCE) == 1
    assert console.out == "no versions\n"


def test_diff(console: Console, tmp_path: Path) -> None:
    """Two versions, the active one, or a file, are compared in words and for machines."""
    newest, first = ids(console)

    assert console("maca", "diff", INSTANCE, first, newest) == 1
    assert console.out.splitlines() == [
        "context budget raised from 4096 to 8192 tokens",
        "storage.codec added: zstd",
    ]
    assert console("maca", "diff", INSTANCE, first, "--json") == 1
    assert [one["field"] for one in console.document["changes"]] == [
        "retrieval.context_budget",
        "storage.codec",
    ]
    assert console("maca", "diff", INSTANCE, newest) == 0
    assert console.out == "no difference\n"
    file = tmp_path / "maca.json"
    file.write_text(json.dumps({"retrieval": {"mode": "fast"}}))
    assert console("maca", "diff", INSTANCE, "active", str(file)) == 1
    assert "retrieval mode changed from balanced to fast" in console.out


CHECKS = [
    pytest.param("storage: {retention: {max_memory_age_days: 90}}", 0, set(), id="clean"),
    pytest.param('{"storage": {"retention": {"default_ttl_days": 0}}}', 1, {"retention_unlimited"},
                 id="JSON"),
    pytest.param("config: {storage: {graph: {enabled: false}, retention: {default_ttl_days: 9}}}",
                 1, {"graph_off"}, id="wrapped"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "rules"), CHECKS)
def test_check_a_file(
    services: Serve, tmp_path: Path, text: str, code: int, rules: set[str]
) -> None:
    """A file is judged by itself, without asking Synap: exit 1 on a violation."""
    service = services()
    console = Console(service)
    file = tmp_path / "maca.yaml"
    file.write_text(text)

    assert console("maca", "check", str(file), "--json") == code

    assert {found["rule"] for found in console.document["violations"]} == rules
    assert {found["rule"] for found in console.document["skipped"]} == {
        "retention_shortened",
        "vectors_changed",
        "confidence_lowered",
    }
    assert service.sandbox.calls == []


def test_check_a_file_over_what_is_active(console: Console, tmp_path: Path) -> None:
    """With an instance a partial file is laid over the active version, and compared with it."""
    file = tmp_path / "maca.yaml"
    file.write_text("storage: {retention: {default_ttl_days: 30}}")

    assert console("maca", "check", str(file), "--instance", INSTANCE) == 1

    assert "high: retention_shortened: retention was shortened from 365 to 30 days" in console.out
    assert "medium: context_budget: the context budget of 8192 tokens" in console.out
    assert "2 violated, 0 not checked" in console.out


def test_check_a_version(console: Console) -> None:
    """A version is judged by all that Synap says of it."""
    newest, first = ids(console)

    assert console("maca", "check", newest, "--instance", INSTANCE, "--json") == 1
    assert [found["rule"] for found in console.document["violations"]] == ["context_budget"]
    assert console("maca", "check", first, "--instance", INSTANCE) == 0
    assert console("maca", "check", "maca_cfg_0", "--instance", INSTANCE) == 1
    assert "404" in console.err
    assert console("maca", "check", newest) == 2
    assert "add --instance" in console.err


def test_pin(console: Console) -> None:
    """A pin is set by somebody, shown, noted in the history, and cleared."""
    _, first = ids(console)
    assert console("maca", "pin", INSTANCE) == 1
    assert console("maca", "pin", INSTANCE, first, "--actor", "eve") == 0
    assert "is superseded now" in console.err
    assert console("maca", "pin", INSTANCE, "--json") == 0
    assert (console.document["pinned"]["config_id"], console.document["pinned"]["by"]) == (
        first,
        "eve",
    )
    assert console("maca", "pin", INSTANCE, "--clear") == 0
    assert console("maca", "pin", INSTANCE) == 1
    assert console("history", "--json") == 0
    assert [row["action"] for row in console.document["history"]] == ["maca-unpin", "maca-pin"]
    assert console("maca", "pin", INSTANCE, "maca_cfg_0") == 1
    assert console("maca", "pin", INSTANCE, first, "--clear") == 2


TROUBLE = [
    pytest.param(Fault(401, b"{}"), 2, "UNAUTHENTICATED", id="dead key"),
    pytest.param(Fault(404, b"{}"), 1, "NOT_FOUND", id="not there"),
    pytest.param(Fault(200, b"<html>"), 4, "UNREADABLE", id="garbage"),
    pytest.param(Fault(429, b"{}", {"retry-after": "600"}), 4, "RATE_LIMITED", id="too many calls"),
]


@pytest.mark.parametrize(("fault", "code", "text"), TROUBLE)
def test_what_synap_refuses(console: Console, fault: Fault, code: int, text: str) -> None:
    """What went wrong is said with Synap's correlation id, and ends with the fitting code."""
    console.service.sandbox.faults.standing(fault)

    assert console("maca", "show", INSTANCE) == code

    assert text in console.err
    assert "correlation id corr_" in console.err


def test_without_a_key(services: Serve) -> None:
    """Without a key the command says which setting is missing."""
    console = Console(services(key=""))

    assert console("maca", "show", INSTANCE) == 2
    assert "SYNAP_API_KEY" in console.err


@pytest.mark.parametrize("text", ["[1]", "a: 1", "{", "\x00"])
def test_files_that_are_none(services: Serve, tmp_path: Path, text: str) -> None:
    """A file that holds no configuration is refused, with its name."""
    file = tmp_path / "maca.yaml"
    file.write_text(text)
    console = Console(services())

    assert console("maca", "check", str(file)) == 2
    assert "maca.yaml" in console.err


def test_a_configuration_that_is_none(services: Serve, tmp_path: Path) -> None:
    """Problems of the YAML file are told with their line, before anything is asked."""
    service = services()
    (tmp_path / "hooks.yaml").write_text("guard: {rules: {nonsense: {}}}\n")
    console = Console(service)

    assert console("maca", "show", INSTANCE) == 2
    assert 'hooks.yaml:1: unknown field "nonsense"' in console.err


def test_unreadable_files(services: Serve, tmp_path: Path) -> None:
    """A file that is no text is refused with its name."""
    file = tmp_path / "maca.yaml"
    file.write_bytes(b"\xff\xfe")
    console = Console(services())

    assert console("maca", "check", str(file)) == 2
    assert "maca.yaml: UnicodeDecodeError" in console.err


def test_odd_values_are_shown(services: Serve) -> None:
    """What is of another type than documented is shown, and said to be."""
    service = services()
    huge = b'{"config_id": "a", "retrieval": {"mode": 7, "agent_hints": {"m": [1]}}}'
    service.sandbox.faults.standing(Fault(200, huge))
    console = Console(service)

    assert console("maca", "show", INSTANCE) == 0
    assert "given, of another type than documented" in console.out
    assert console("maca", "show", INSTANCE, "--json") == 0
    assert console.document["odd"] == ["retrieval.mode"]


def test_pin_shows_itself(console: Console) -> None:
    """The pin is shown with who set it."""
    _, first = ids(console)
    assert console("maca", "pin", INSTANCE, first) == 0

    assert f"{first} is pinned, by dana" in console.out
    assert console("maca", "pin", INSTANCE, "--clear", "--actor", "eve") == 0
    assert console("maca", "pin", INSTANCE, "--clear", "--actor", "eve") == 0
