"""Times at which nobody is told, as tables: fields, time zones, daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.workers.alerting.house import config_of
from workers.alerting.intervals import Interval, held_back
from workers.section import DocumentError

HEAD = """
route:
  receiver: r
  routes:
    - {mute_time_intervals: [named]}
receivers: [{name: r}]
time_intervals:
  - name: named
    time_intervals:
"""


def intervals(entry: str) -> tuple[Interval, ...]:
    """Return the entries of a named interval, each a YAML flow mapping on a line of its own."""
    lines = "".join(f"      - {line}\n" for line in entry.splitlines())
    return config_of(HEAD + lines).intervals["named"]


def holds(entry: str, moment: str) -> bool:
    """Say whether an ISO moment (UTC if it names no offset) is within."""
    parsed = datetime.fromisoformat(moment)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return any(one.holds(parsed.timestamp()) for one in intervals(entry))


@pytest.mark.parametrize(
    ("entry", "moment", "expected"),
    [
        pytest.param("{}", "2026-11-23T12:00", True, id="nothing-said"),
        pytest.param(
            "{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-23T09:00", True,
            id="start-is-within",
        ),
        pytest.param(
            "{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-23T16:59:59", True,
            id="last-minute",
        ),
        pytest.param(
            "{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-23T17:00", False,
            id="end-is-not",
        ),
        pytest.param(
            "{times: [{start_time: '22:00', end_time: '24:00'}]}", "2026-11-23T23:59", True,
            id="until-midnight",
        ),
        pytest.param(
            "{times: [{start_time: '00:00', end_time: '06:00'},"
            " {start_time: '22:00', end_time: '24:00'}]}",
            "2026-11-23T23:00", True, id="any-time-will-do",
        ),
        pytest.param("{weekdays: ['monday:friday']}", "2026-11-23T12:00", True, id="monday"),
        pytest.param("{weekdays: ['monday:friday']}", "2026-11-22T12:00", False, id="sunday"),
        pytest.param("{weekdays: [Sunday]}", "2026-11-22T12:00", True, id="one-day"),
        pytest.param("{months: ['10:12']}", "2026-11-23T12:00", True, id="months-by-number"),
        pytest.param("{months: ['may:august', november]}", "2026-11-23T12:00", True, id="by-name"),
        pytest.param("{months: ['january:march']}", "2026-11-23T12:00", False, id="other-months"),
        pytest.param("{years: ['2025:2026']}", "2026-11-23T12:00", True, id="years"),
        pytest.param("{years: ['2027']}", "2026-11-23T12:00", False, id="other-year"),
        pytest.param("{days_of_month: ['20:25']}", "2026-11-23T12:00", True, id="days"),
        pytest.param("{days_of_month: ['-1']}", "2026-11-30T12:00", True, id="last-day"),
        pytest.param("{days_of_month: ['-1']}", "2024-02-29T12:00", True, id="last-of-leap-year"),
        pytest.param("{days_of_month: ['-3:-2']}", "2026-11-28T12:00", True, id="from-the-end"),
        pytest.param("{days_of_month: ['-3:-2']}", "2026-11-30T12:00", False, id="end-excluded"),
        pytest.param("{days_of_month: ['25:-1']}", "2026-11-30T12:00", True, id="mixed"),
        pytest.param("{days_of_month: ['31']}", "2026-11-30T12:00", False, id="beyond-is-skipped"),
        pytest.param("{days_of_month: ['29:31']}", "2026-11-30T12:00", True, id="cut-to-month"),
        pytest.param("{days_of_month: ['-31:-30']}", "2026-11-01T12:00", True, id="cut-at-start"),
        pytest.param("{days_of_month: ['-31:-30']}", "2026-02-01T12:00", False, id="before-month"),
        pytest.param(
            "{weekdays: [monday], months: [november], days_of_month: ['1:7']}",
            "2026-11-23T12:00", False, id="all-fields-must-hold",
        ),
        pytest.param("{weekdays: [sunday]}\n{weekdays: [monday]}", "2026-11-23T12:00", True,
                     id="any-entry-will-do"),
        pytest.param("{weekdays: []}", "2026-11-23T12:00", False, id="none-of-no-days"),
    ],
)  # fmt: skip
def test_when_an_interval_holds(entry: str, moment: str, *, expected: bool) -> None:
    """B34, B35, B36, B37: fields are AND, their entries OR, ranges as each field counts them."""
    assert holds(entry, moment) is expected


BERLIN = "{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}"
NIGHT = "{times: [{start_time: '00:00', end_time: '06:00'}], location: Europe/Berlin}"
SUNDAY = "{weekdays: [sunday], location: Pacific/Auckland}"


@pytest.mark.parametrize(
    ("entry", "moment", "expected"),
    [
        pytest.param(NIGHT, "2026-01-15T04:59", True, id="winter-in"),
        pytest.param(NIGHT, "2026-01-15T05:00", False, id="winter-out"),
        pytest.param(NIGHT, "2026-07-15T03:59", True, id="summer-in"),
        pytest.param(NIGHT, "2026-07-15T04:00", False, id="summer-out"),
        pytest.param(BERLIN, "2026-03-29T01:00", False, id="the-hour-that-is-not"),
        pytest.param(BERLIN, "2026-03-29T00:59", False, id="just-before-it"),
        pytest.param(BERLIN, "2026-10-25T00:30", True, id="the-hour-once"),
        pytest.param(BERLIN, "2026-10-25T01:30", True, id="the-hour-again"),
        pytest.param(BERLIN, "2026-10-25T02:00", False, id="after-both"),
        pytest.param(SUNDAY, "2026-11-21T11:00", True, id="already-sunday-there"),
        pytest.param(SUNDAY, "2026-11-22T12:00", False, id="already-monday-there"),
    ],
)
def test_time_zones_and_daylight_saving(entry: str, moment: str, *, expected: bool) -> None:
    """B34: what counts is the wall clock of the location, in summer as in winter."""
    assert holds(entry, moment) is expected


WORK = {"day": (Interval(times=None, location=ZoneInfo("UTC")),), "never": ()}


@pytest.mark.parametrize(
    ("active", "mute", "expected"),
    [
        pytest.param([], [], (), id="neither"),
        pytest.param(["day"], [], (), id="active-and-within"),
        pytest.param(["never"], [], ("never",), id="active-and-outside"),
        pytest.param(["never", "day"], [], (), id="within-one-of-them"),
        pytest.param([], ["day"], ("day",), id="mute-and-within"),
        pytest.param([], ["never"], (), id="mute-and-outside"),
        pytest.param(["day"], ["day"], ("day",), id="both"),
        pytest.param(["never"], ["day"], ("never",), id="active-is-asked-first"),
        pytest.param(["gone"], [], ("gone",), id="undefined-never-holds"),
    ],
)
def test_who_is_held_back(active: list[str], mute: list[str], expected: tuple[str, ...]) -> None:
    """B38: silent outside all active intervals, and within any mute interval."""
    assert held_back(WORK, active, mute, 0.0) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param("{times: [{start_time: '9:00', end_time: '17:00'}]}",
                     'couldn\'t parse timestamp "9:00", invalid format', id="time"),
        pytest.param("{times: [{start_time: '25:00', end_time: '26:00'}]}",
                     'couldn\'t parse timestamp "25:00", invalid format', id="no-such-hour"),
        pytest.param("{times: [{start_time: '17:00', end_time: '09:00'}]}",
                     "start time cannot be equal or greater than end time", id="wraps"),
        pytest.param("{times: [{start_time: '17:00'}]}",
                     "both start and end times must be provided", id="half"),
        pytest.param("{weekdays: [funday]}", '"funday" is not a valid range of weekdays', id="day"),
        pytest.param("{weekdays: ['friday:monday']}",
                     '"friday:monday": the end of a range is before its start', id="week-wraps"),
        pytest.param("{months: ['13']}", '"13" is not a valid range of months', id="month"),
        pytest.param("{months: ['1:2:3']}", '"1:2:3" is not a valid range of months', id="three"),
        pytest.param("{years: [soon]}", '"soon" is not a valid range of years', id="year"),
        pytest.param("{days_of_month: ['0']}", '"0" is not a valid range of days_of_month',
                     id="day-0"),
        pytest.param("{days_of_month: ['32']}", '"32" is not a valid range of days_of_month',
                     id="day-32"),
        pytest.param("{days_of_month: ['-1:5']}",
                     '"-1:5": the end of a range is before its start', id="signs"),
        pytest.param("{location: Mars/Olympus}", 'unknown time zone "Mars/Olympus"', id="zone"),
        pytest.param("{location: ../etc/passwd}", 'unknown time zone "../etc/passwd"', id="path"),
        pytest.param("{hours: [1]}", 'unknown field "hours" in time_interval', id="unknown"),
    ],
)  # fmt: skip
def test_what_an_interval_may_not_say(entry: str, expected: str) -> None:
    """B35, B36, B37: what cannot be a time is refused with its line."""
    with pytest.raises(DocumentError) as caught:
        intervals(entry)

    lines = [line for line in caught.value.problems if expected in line]
    assert lines
    assert lines[0].startswith("hooks.yml:10: ")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        pytest.param("time_intervals: [{time_intervals: []}]", "missing name in time interval",
                     id="no-name"),
        pytest.param("mute_time_intervals: [{time_intervals: []}]",
                     "missing name in mute time interval", id="no-name-old-word"),
        pytest.param(
            "mute_time_intervals: [{name: duplicate}, {name: duplicate}]",
            'mute time interval "duplicate" is not unique', id="twice-old-word",
        ),
        pytest.param(
            "mute_time_intervals: [{name: duplicate}]\ntime_intervals: [{name: duplicate}]",
            'time interval "duplicate" is not unique', id="twice",
        ),
    ],
)  # fmt: skip
def test_names_of_intervals(section: str, expected: str) -> None:
    """B47: an interval has a name, and no two have the same."""
    with pytest.raises(DocumentError) as caught:
        config_of(f"route: {{receiver: r}}\nreceivers: [{{name: r}}]\n{section}\n")

    assert [line.partition(": ")[2] for line in caught.value.problems] == [expected]
