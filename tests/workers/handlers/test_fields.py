"""Reading fields that nobody promised."""

from __future__ import annotations

import pytest

from workers.handlers.fields import UNKNOWN, Fields, clean, span, utc


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("  two\n\tlines ", "two lines", id="one line"),
        pytest.param("nul\x00 bell\x07", "nul bell", id="control characters"),
        pytest.param("a\u202eb\u200bc\ufeff", "abc", id="direction and zero width"),
        pytest.param("a\ud800b", "ab", id="lone surrogate"),
        pytest.param("x" * 11, "x" * 9 + "…", id="bounded"),
        pytest.param("", "", id="empty"),
    ],
)
def test_text_is_one_visible_bounded_line(raw: str, read: str) -> None:
    """Text from an event loses what a person cannot see and is cut at the limit."""
    assert clean(raw, 10) == read


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("key synap_abcdefgh0123456789 is bad", id="in a sentence"),
        pytest.param("key SYNAP_ABCDEFGH0123456789", id="upper case"),
        pytest.param("key synap_\x00abcd\u200befgh0123456789", id="split by invisible characters"),
        pytest.param("Authorization: Bearer abcdefgh0123456789", id="bearer"),
    ],
)
def test_credentials_are_masked(raw: str) -> None:
    """What looks like a credential never leaves the reader, however it is disguised."""
    shown = clean(raw)

    assert "***" in shown
    assert "efgh0123456789" not in shown.lower()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param("doc_1", "doc_1", id="text"),
        pytest.param(402, "402", id="integer"),
        pytest.param(2.0, "2", id="whole float"),
        pytest.param(1.5, "1.5", id="float"),
        pytest.param(10**400, UNKNOWN, id="huge integer"),
        pytest.param(float("nan"), UNKNOWN, id="nan"),
        pytest.param(True, UNKNOWN, id="boolean"),
        pytest.param(None, UNKNOWN, id="null"),
        pytest.param(["doc_1"], UNKNOWN, id="array"),
        pytest.param({"id": "doc_1"}, UNKNOWN, id="object"),
        pytest.param(" \x00 ", UNKNOWN, id="blank"),
    ],
)
def test_text_of_any_value(value: object, read: str) -> None:
    """A text field of another type than text or number is unknown."""
    assert Fields({"field": value}).text("field") == read


def test_the_first_usable_name_counts() -> None:
    """A field with two names is read from the first one that holds something usable."""
    fields = Fields({"error_code": None, "code": "TIMEOUT", "days": "x", "rest": 3})

    assert fields.text("error_code", "code") == "TIMEOUT"
    assert fields.number("days", "rest") == 3.0
    assert fields.text("absent", absent="none") == "none"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param(3, 3.0, id="integer"),
        pytest.param(-0.5, -0.5, id="float"),
        pytest.param(" 12 ", 12.0, id="numeric text"),
        pytest.param("twelve", None, id="words"),
        pytest.param("9" * 5000, None, id="endless text"),
        pytest.param(10**400, None, id="beyond a float"),
        pytest.param(float("inf"), None, id="infinite"),
        pytest.param(True, None, id="boolean"),
        pytest.param([1], None, id="array"),
    ],
)
def test_numbers(value: object, read: float | None) -> None:
    """A number is finite, and may be written as text."""
    assert Fields({"field": value}).number("field") == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param(True, True, id="true"),
        pytest.param(False, False, id="false"),
        pytest.param("True", True, id="text true"),
        pytest.param(" no ", False, id="text no"),
        pytest.param(1, True, id="one"),
        pytest.param(0, False, id="zero"),
        pytest.param(2, None, id="two"),
        pytest.param("perhaps", None, id="other text"),
        pytest.param({}, None, id="object"),
        pytest.param(None, None, id="null"),
    ],
)
def test_flags(value: object, read: object) -> None:
    """A truth value may be written as text or digit; anything else is unknown."""
    assert Fields({"field": value}).flag("field") is read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param("2027-01-15T08:00:00Z", 1_800_000_000.0, id="zulu"),
        pytest.param("2027-01-15T09:00:00+01:00", 1_800_000_000.0, id="offset"),
        pytest.param("2027-01-15T08:00:00", 1_800_000_000.0, id="without offset is UTC"),
        pytest.param(1_800_000_000, 1_800_000_000.0, id="seconds"),
        pytest.param("1800000000", 1_800_000_000.0, id="seconds as text"),
        pytest.param(1_800_000_000_000, 1_800_000_000.0, id="milliseconds"),
        pytest.param(-5, None, id="before 1970"),
        pytest.param(1e300, None, id="beyond the calendar"),
        pytest.param("0001-01-01T00:00:00+23:59", None, id="before the calendar"),
        pytest.param("soon", None, id="words"),
        pytest.param("2" * 200, None, id="endless"),
        pytest.param(["2027-01-15"], None, id="array"),
    ],
)
def test_times(value: object, read: float | None) -> None:
    """A moment may be ISO 8601 or Unix time; what is none is unknown."""
    assert Fields({"field": value}).time("field") == read


def test_objects_within() -> None:
    """Fields of an inner object are read the same way; without an object there are none."""
    fields = Fields({"error": {"code": "X"}, "policy": "text"})

    assert fields.within("error").text("code") == "X"
    assert fields.within("policy") == Fields({})


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        pytest.param(20 * 86400.0, "20 days", id="days"),
        pytest.param(36 * 3600.0, "36 h", id="hours below two days"),
        pytest.param(90 * 60.0, "90 min", id="minutes below two hours"),
        pytest.param(-1.0, "0 min", id="nothing left"),
    ],
)
def test_spans(seconds: float, written: str) -> None:
    """A length of time is written in one unit and never says more than is left."""
    assert span(seconds) == written


def test_moments_outside_the_calendar_are_clamped() -> None:
    """Writing a moment never raises."""
    assert utc(1_800_000_000.0) == "2027-01-15 08:00 UTC"
    assert utc(-1e12) == "1970-01-01 00:00 UTC"
    assert utc(1e300) == "9999-12-31 23:59 UTC"
