"""Times of day, week, month and year, in any time zone; whether a moment is among them. Pure.

All fields of an interval must hold, any entry of a field will do, and a named interval is any of
its entries. A field that is absent always holds. What counts is the wall clock at the place.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple, TypeAlias


class Span(NamedTuple):
    """A range of whole numbers with both ends; negative days count from the month's end."""

    first: int
    last: int


class Times(NamedTuple):
    """Minutes of a day, from 0; `start` is within, `end` (up to 1440) is not."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One entry of a named interval; None means that the field is absent.

    Weekdays count from Sunday 0, months from January 1, `days_of_month` from 1, or from -1 for
    the month's last day.
    """

    times: tuple[Times, ...] | None = None
    weekdays: tuple[Span, ...] | None = None
    days_of_month: tuple[Span, ...] | None = None
    months: tuple[Span, ...] | None = None
    years: tuple[Span, ...] | None = None
    location: tzinfo = field(default=UTC)

    def holds(self, now: float) -> bool:
        """Say whether Unix seconds `now` are within."""
        there = datetime.fromtimestamp(now, self.location)
        minute = there.hour * 60 + there.minute
        return (
            (self.times is None or any(t.start <= minute < t.end for t in self.times))
            and (self.days_of_month is None or _day_among(there, self.days_of_month))
            and _among(there.month, self.months)
            and _among(there.isoweekday() % 7, self.weekdays)
            and _among(there.year, self.years)
        )


Intervals: TypeAlias = Mapping[str, tuple[Interval, ...]]
"""Every named interval of the configuration."""


def held_back(
    intervals: Intervals, active: Iterable[str], mute: Iterable[str], now: float
) -> tuple[str, ...]:
    """Return the names that keep a route silent at `now` (Unix seconds); none if it may speak.

    A route with active intervals is silent outside all of them, one with mute intervals within
    any. A name that is not defined never holds.
    """
    hours = tuple(active)
    if hours and not any(_holds(intervals, name, now) for name in hours):
        return hours
    return tuple(name for name in mute if _holds(intervals, name, now))


def _holds(intervals: Intervals, name: str, now: float) -> bool:
    return any(interval.holds(now) for interval in intervals.get(name, ()))


def _among(value: int, spans: tuple[Span, ...] | None) -> bool:
    return spans is None or any(span.first <= value <= span.last for span in spans)


def _day_among(there: datetime, spans: tuple[Span, ...]) -> bool:
    """Say whether a day is in any range; a range is cut to the month, or skipped if beyond it."""
    length = monthrange(there.year, there.month)[1]
    for span in spans:
        first = span.first if span.first > 0 else length + span.first + 1
        last = span.last if span.last > 0 else length + span.last + 1
        if first <= length and max(first, 1) <= there.day <= min(last, length):
            return True
    return False
