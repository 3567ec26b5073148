"""Tables, times and bodies as people see them."""

from __future__ import annotations

import pytest

from workers.cli.output import age, facts, fitted, iso, payload, stamp, table

NOW = 1_800_000_000.0


def test_a_table_is_cut_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The widest columns give way first, and cells that are cut say so."""
    table(("A", "LONG"), [("x", "0123456789abcdef"), ("", "y\x1b[31m")], width=14)

    assert capsys.readouterr().out.splitlines() == [
        "A  LONG",
        "x  0123456789…",
        "-  y[31m",
    ]


def test_a_table_that_goes_elsewhere_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal every cell is whole."""
    table(("A",), [("0" * 150,)])

    assert "0" * 150 in capsys.readouterr().out


@pytest.mark.parametrize(
    ("widths", "room", "sizes"),
    [
        pytest.param([4, 10], 20, [4, 10], id="fits"),
        pytest.param([4, 30, 20], 34, [4, 15, 15], id="the widest first"),
        pytest.param([30, 30], 5, [8, 8], id="never below the least"),
    ],
)
def test_fitted(widths: list[int], room: int, sizes: list[int]) -> None:
    """Columns shrink evenly from the widest, to a least width."""
    assert fitted(widths, room) == sizes


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        pytest.param(None, "-", id="none"),
        pytest.param(NOW, "2027-01-15T08:00:00Z (0s ago)", id="now"),
        pytest.param(NOW - 3 * 86400, "2027-01-12T08:00:00Z (3d ago)", id="days"),
        pytest.param(NOW + 7200, "2027-01-15T10:00:00Z (in 2h)", id="ahead"),
    ],
)
def test_stamps(moment: float | None, shown: str) -> None:
    """A moment is UTC and how far it is away."""
    assert stamp(moment, NOW) == shown


def test_ages_and_iso() -> None:
    """Ages are in their largest unit; an absent moment is null to programs."""
    assert [age(s) for s in (5, 65, 7300, 200_000)] == ["5s", "1m", "2h", "2d"]
    assert iso(None) is None


def test_facts_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Names are padded to the longest, and an empty value is a dash."""
    facts({"a": "1", "long": ""})

    assert capsys.readouterr().out == "a     1\nlong  -\n"


def test_bodies_are_ascii() -> None:
    """A body cannot move a terminal's cursor: JSON is escaped, other bytes too."""
    assert payload(b'{"a":"\xe2\x80\xae"}') == '{\n  "a": "\\u202e"\n}'
    assert payload(b"\x1b[2J") == r"\x1b[2J"
