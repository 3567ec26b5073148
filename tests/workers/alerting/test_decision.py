"""Whether to notify, as a table."""

from __future__ import annotations

import pytest

from workers.alerting.decision import Entry, decide
from workers.alerting.notification import Why, cut, cut_bytes

NOW = 10_000.0
REPEAT = 1_000.0


def told(firing: str = "", resolved: str = "", at: float = NOW, **options: bool) -> Entry:
    """Return what was told last; each letter is a fingerprint."""
    return Entry(frozenset(firing), frozenset(resolved), at, **options)


@pytest.mark.parametrize(
    ("entry", "firing", "resolved", "expected"),
    [
        pytest.param(None, "a", "", Why.FIRST, id="nothing-told-firing"),
        pytest.param(None, "", "a", None, id="nothing-told-all-over"),
        pytest.param(told("a"), "ab", "", Why.NEW_ALERTS, id="another-fires"),
        pytest.param(told("", "a"), "a", "", Why.FIRST, id="fires-again"),
        pytest.param(told("a"), "", "a", Why.ALL_RESOLVED, id="all-over"),
        pytest.param(told("", "a"), "", "a", None, id="all-over-and-told"),
        pytest.param(told("ab"), "a", "b", Why.NEW_RESOLVED, id="one-is-over"),
        pytest.param(told("ab", "b"), "a", "b", None, id="one-is-over-and-told"),
        pytest.param(told("a"), "a", "", None, id="the-same"),
        pytest.param(told("a", at=NOW - REPEAT), "a", "", None, id="exactly-repeat"),
        pytest.param(told("a", at=NOW - REPEAT - 0.1), "a", "", Why.REPEAT, id="after-repeat"),
        pytest.param(told("ab"), "a", "", None, id="fewer-fire"),
        pytest.param(told("", doubt=True), "", "a", Why.ALL_RESOLVED, id="perhaps-told"),
        pytest.param(told("", doubt=True), "a", "", Why.FIRST, id="perhaps-told-firing"),
    ],
)
def test_decisions(entry: Entry | None, firing: str, resolved: str, expected: Why | None) -> None:
    """B24: what was told last and what is so now decide."""
    assert (
        decide(
            entry,
            frozenset(firing),
            frozenset(resolved),
            send_resolved=True,
            repeat_interval=REPEAT,
            now=NOW,
        )
        == expected
    )


@pytest.mark.parametrize(
    ("entry", "firing", "resolved", "expected"),
    [
        pytest.param(told("ab"), "a", "b", None, id="one-is-over"),
        pytest.param(told("a"), "", "a", Why.ALL_RESOLVED, id="all-over-clears-the-log"),
    ],
)
def test_decisions_without_resolves(
    entry: Entry, firing: str, resolved: str, expected: Why | None
) -> None:
    """B24: without send_resolved ends are not news, but the log is still cleared."""
    assert (
        decide(
            entry,
            frozenset(firing),
            frozenset(resolved),
            send_resolved=False,
            repeat_interval=REPEAT,
            now=NOW,
        )
        == expected
    )


def test_an_entry_comes_back_as_it_was_stored() -> None:
    """What was told survives its stored form."""
    entry = Entry(frozenset("ab"), frozenset("c"), 12.5, {"ts": "1"}, doubt=True)

    assert Entry.from_wire(entry.to_wire()) == entry


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        pytest.param("abcdef", 6, "abcdef", id="fits"),
        pytest.param("abcdef", 5, "abcd…", id="cut"),
        pytest.param("abcdef", 3, "abc", id="three"),
        pytest.param("abcdef", 0, "", id="none"),
        pytest.param("éééé", 4, "éééé", id="characters-count"),
    ],
)
def test_cutting_in_characters(text: str, limit: int, expected: str) -> None:
    """B42: up to three characters are cut plainly, more end in an ellipsis."""
    assert cut(text, limit) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        pytest.param("abcdef", 6, "abcdef", id="fits"),
        pytest.param("abcdef", 5, "ab…", id="cut"),
        pytest.param("abcdef", 3, "…", id="three"),
        pytest.param("abcdef", 2, "..", id="two"),
        pytest.param("abcdef", 0, "", id="none"),
        pytest.param("aéééé", 6, "aé…", id="boundary"),
        pytest.param("aéééé", 7, "aé…", id="inside-a-character"),
    ],
)
def test_cutting_in_bytes(text: str, limit: int, expected: str) -> None:
    """B42: the cut falls between characters and the result is within the limit."""
    assert cut_bytes(text, limit) == expected
    assert len(cut_bytes(text, limit).encode()) <= max(limit, 0)
