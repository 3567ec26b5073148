"""The `time_intervals` section of the configuration, read strictly, in Alertmanager's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workers.alerting.intervals import Interval, Span, Times
from workers.section import Section, Text

_TIME: Final = re.compile(r"((([01][0-9])|(2[0-3])):[0-5][0-9])|(24:00)")
_MAX_DAY: Final = 31

_WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_WEEKDAY: Final = {name: number for number, name in enumerate(_WEEKDAYS)}
_MONTH: Final = {name: number for number, name in enumerate(_MONTHS, 1)} | {
    str(number): number for number in range(1, 13)
}


def read_intervals(section: Section) -> dict[str, tuple[Interval, ...]]:
    """Read `time_intervals`, and `mute_time_intervals` as they were called before."""
    found: dict[str, tuple[Interval, ...]] = {}
    for field, kind in (
        ("mute_time_intervals", "mute time interval"),
        ("time_intervals", "time interval"),
    ):
        for named in section.sections(field, "time_interval"):
            _read_named(named, kind, found)
    return found


def _read_named(named: Section, kind: str, found: dict[str, tuple[Interval, ...]]) -> None:
    name = named.text("name")
    if not name:
        named.problem(f"missing name in {kind}")
    if name in found:
        named.problem(f'{kind} "{name}" is not unique', "name")
    entries = named.sections("time_intervals", "time_interval")
    if not entries:
        named.warn(f'{kind} "{name}" has no time_intervals and never holds')
    found[name] = tuple(_read_interval(entry) for entry in entries)
    named.close()


def _read_interval(entry: Section) -> Interval:
    interval = Interval(
        times=_times(entry) if entry.has("times") else None,
        weekdays=_spans(entry, "weekdays", _weekday),
        days_of_month=_spans(entry, "days_of_month", _day),
        months=_spans(entry, "months", _month),
        years=_spans(entry, "years", _year),
        location=_location(entry),
    )
    entry.close()
    return interval


def _times(entry: Section) -> tuple[Times, ...]:
    found = []
    for part in entry.sections("times", "times"):
        start, end = _minute(part, "start_time"), _minute(part, "end_time")
        if start is not None and end is not None:
            if start >= end:
                part.problem("start time cannot be equal or greater than end time")
            found.append(Times(start, end))
        part.close()
    return tuple(found)


def _minute(part: Section, name: str) -> int | None:
    if not part.has(name):
        part.problem("both start and end times must be provided")
        return None
    text = part.text(name)
    if not _TIME.fullmatch(text):
        part.problem(f'couldn\'t parse timestamp "{text}", invalid format', name)
        return None
    return int(text[:2]) * 60 + int(text[3:])


def _spans(
    entry: Section, name: str, number: Callable[[str], int | None]
) -> tuple[Span, ...] | None:
    texts = entry.texts(name)
    if texts is None:
        return None
    spans = (_span(text, name, number, entry) for text in texts)
    return tuple(span for span in spans if span is not None)


def _span(
    text: Text, name: str, number: Callable[[str], int | None], entry: Section
) -> Span | None:
    """Read `a:b`, or `a` alone; both ends are within."""
    parts = [part.strip().lower() for part in text.value.split(":")]
    numbers = [number(part) for part in parts]
    first, last = numbers[0], numbers[-1]
    if len(parts) > 2 or first is None or last is None:  # noqa: PLR2004 - a start and an end
        entry.findings.problem(text.line, f'"{text.value}" is not a valid range of {name}')
        return None
    if _place(first) > _place(last) or (first < 0 < last):
        entry.findings.problem(text.line, f'"{text.value}": the end of a range is before its start')
    return Span(first, last)


def _place(number: int) -> int:
    """Return where a day stands in the longest month; other numbers are never negative."""
    return number if number >= 0 else _MAX_DAY + 1 + number


def _weekday(text: str) -> int | None:
    return _WEEKDAY.get(text)


def _month(text: str) -> int | None:
    return _MONTH.get(text)


def _year(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else None


def _day(text: str) -> int | None:
    day = int(text) if re.fullmatch(r"-?[0-9]{1,2}", text) else 0
    return day if 1 <= abs(day) <= _MAX_DAY else None


def _location(entry: Section) -> tzinfo:
    name = entry.text("location", "UTC")
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        entry.problem(f'unknown time zone "{name}"', "location")
        return UTC
