"""YAML files are read strictly, and every problem names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.document import load, parse
from workers.section import DocumentError, SecretUnreadableError, Section, parse_duration

BASE = Path("/nowhere")


def opened(text: str) -> Section:
    """Return the root section of a text."""
    return parse(text, file="hooks.yml", base=BASE)


def refused(text: str) -> list[str]:
    """Return the problems for which a text is refused before anything of it is read."""
    with pytest.raises(DocumentError) as caught:
        opened(text)
    return caught.value.problems


def problems(section: Section) -> list[str]:
    """Return what was noted so far."""
    return [str(problem) for problem in section.findings.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "a: 1\nb: 2\na: 3\n", ['hooks.yml:3: key "a" stands twice'], id="duplicate-key"
        ),
        pytest.param(
            "a:\n  - {b: 1, b: 2}\n", ['hooks.yml:2: key "b" stands twice'], id="nested-duplicate"
        ),
        pytest.param("- a\n", ["hooks.yml:1: the file must be a mapping"], id="list"),
        pytest.param("? [a]\n: 1\n", ["hooks.yml:1: a key must be a text"], id="complex-key"),
        pytest.param(
            "a: 1\n---\nb: 2\n",
            ["hooks.yml:2: not valid YAML: but found another document"],
            id="two-documents",
        ),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(text: str, expected: list[str]) -> None:
    """What is no mapping, or says a thing twice, is refused with its line."""
    assert refused(text) == expected


def test_broken_yaml_names_its_line() -> None:
    """A syntax error is a problem at the line where the parser stopped."""
    (problem,) = refused("a: 1\nb: [1, 2\nc: 3\n")

    assert problem.startswith("hooks.yml:3: not valid YAML")


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    """Nesting beyond the parser's depth is refused like any other error."""
    assert refused("a: " + "[" * 2_000) == ["hooks.yml:1: not valid YAML: RecursionError"]


def test_unknown_fields_are_reported_with_what_was_probably_meant() -> None:
    """A field that nobody asked for is a problem at its line."""
    section = opened("name: x\nrecever: y\nzzz: 1\n")
    section.text("name")
    section.text("receiver")

    section.close()

    assert problems(section) == [
        'hooks.yml:2: unknown field "recever" in the file (did you mean "receiver"?)',
        'hooks.yml:3: unknown field "zzz" in the file',
    ]


def test_values_are_read_as_written() -> None:
    """Texts keep the form in which they stand; null counts as absent."""
    section = opened("a: yes\nb: 0x10\nc: ~\nd: 2026-01-01\ne: {x: 1}\nf: [p, 2]\ng: []\n")

    assert [section.text(name, "-") for name in "abcd"] == ["yes", "0x10", "-", "2026-01-01"]
    assert section.flag("a", default=False) is True
    assert section.table("e") == {"x": "1"}
    assert [text.value for text in section.texts("f") or ()] == ["p", "2"]
    assert section.texts("g") == []
    assert section.texts("absent") is None
    assert section.has("c") is False


def test_values_of_the_wrong_kind_are_problems() -> None:
    """Each value of the wrong kind is one problem at its own line."""
    section = opened(
        "a: {x: 1}\nb: maybe\nc: -1\nd: 5 minutes\ne: text\nf: [[1]]\ng: text\nh: [~, 1]\n"
    )

    section.text("a")
    section.flag("b", default=True)
    section.integer("c", 0)
    section.duration("d")
    section.texts("e")
    section.texts("f")
    section.section("g")
    assert [inner.names() for inner in section.sections("h")] == [[]]

    assert problems(section) == [
        'hooks.yml:1: field "a" must be a text',
        'hooks.yml:2: field "b" must be true or false',
        'hooks.yml:3: field "c" must be a whole number, at least 0',
        'hooks.yml:4: not a valid duration string: "5 minutes"',
        'hooks.yml:5: field "e" must be a list',
        'hooks.yml:6: an entry of "f" must be a text',
        "hooks.yml:7: g must be a mapping",
        "hooks.yml:8: h must be a mapping",
    ]


def test_merge_keys_are_overridden_by_what_stands_beside_them() -> None:
    """`<<` brings in fields that the mapping itself does not have."""
    section = opened("base: &b {x: 1, y: 1}\nmade: {<<: [*b, text], y: 2}\n")

    assert section.table("made") == {"x": "1", "y": "2"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("0", 0.0, id="zero"),
        pytest.param("30s", 30.0, id="seconds"),
        pytest.param("1h30m", 5400.0, id="mixed"),
        pytest.param("1y2w3d", (365 + 14 + 3) * 86_400.0, id="long"),
        pytest.param("500ms", 0.5, id="milliseconds"),
        pytest.param("", None, id="empty"),
        pytest.param("30", None, id="no-unit"),
        pytest.param("1m1h", None, id="wrong-order"),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Durations are written as Prometheus writes them."""
    assert parse_duration(text) == seconds


def test_a_secret_and_its_file_exclude_each_other() -> None:
    """B48: a secret is given inline or by file, never both."""
    section = opened("key: a\nkey_file: b\n")

    section.secret("key")

    assert problems(section) == ["hooks.yml:2: at most one of key & key_file must be configured"]


def test_secrets_are_read_at_use_and_never_shown(tmp_path: Path) -> None:
    """A secret's file stands beside the document and may change; no form of it shows the text."""
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "hooks.yml").write_text("key_file: key\nother: inline\n")
    section = load(tmp_path / "hooks.yml")

    held, inline = section.secret("key"), section.secret("other")

    assert held is not None
    assert inline is not None
    assert (held.reveal(), inline.reveal()) == ("s3cret", "inline")
    assert "s3cret" not in repr(held)
    assert "inline" not in repr(inline) + str(inline)


def test_a_secret_file_that_is_gone_or_empty_is_an_error(tmp_path: Path) -> None:
    """Nothing is never taken for a secret."""
    (tmp_path / "empty").write_text("\n")
    section = parse("a_file: gone\nb_file: empty\n", file="hooks.yml", base=tmp_path)

    for name in "ab":
        secret = section.secret(name)
        assert secret is not None
        with pytest.raises(SecretUnreadableError):
            secret.reveal()


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """A missing file is reported like any other problem."""
    with pytest.raises(DocumentError) as caught:
        load(tmp_path / "gone.yml")

    assert "gone.yml:1: unreadable" in caught.value.problems[0]


def test_problems_are_raised_together_in_the_order_of_their_lines() -> None:
    """All problems of a file are reported at once."""
    section = opened("a: x\nb: x\n")
    section.problem("second", "b")
    section.problem("first", "a")

    with pytest.raises(DocumentError) as caught:
        section.findings.raise_if_any()

    assert caught.value.problems == ["hooks.yml:1: first", "hooks.yml:2: second"]
