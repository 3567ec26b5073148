"""Times in which nothing may be changed: fixed ones and weekly ones, in UTC. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

DAY: Final = 86_400.0
WEEK: Final = 7 * DAY
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_MONDAY: Final = 4 * DAY
"""The first Monday of Unix time, 1970-01-05."""

_HORIZON: Final = 400 * DAY


class Window(NamedTuple):
    """From a moment up to another, in Unix seconds."""

    start: float
    end: float


class Freeze(NamedTuple):
    """A window, or days of each week with their hours.

    `fixed` is a window that comes once. `days` count from Monday 0; `hours` are seconds of the
    day, the second may be smaller than the first and then lies in the next day.
    """

    name: str
    fixed: Window | None = None
    days: tuple[int, ...] = ()
    hours: tuple[float, float] = (0.0, DAY)

    def until(self, now: float) -> float | None:
        """Return when the window that holds `now` ends; None if none does."""
        if self.fixed is not None:
            return self.fixed.end if self.fixed.start <= now < self.fixed.end else None
        begin, end = self.hours
        length = end - begin if end > begin else end - begin + DAY
        into_week = (now - _MONDAY) % WEEK
        for day in self.days:
            since = (into_week - day * DAY - begin) % WEEK
            if since < length:
                return now - since + length
        return None


def thaw(freezes: Sequence[Freeze], now: float) -> float:
    """Return the first moment from `now` on at which nothing is frozen.

    Freezes that leave no moment free within `_HORIZON` end there: a configuration that forbids
    everything for ever is refused when it is read.
    """
    moment = now
    while moment < now + _HORIZON:
        ends = [end for freeze in freezes if (end := freeze.until(moment)) is not None]
        if not ends:
            return moment
        moment = max(ends)
    return moment


def frozen_seconds(freezes: Sequence[Freeze], start: float, end: float) -> float:
    """Return how much of the time from `start` to `end` is frozen."""
    total, moment = 0.0, start
    while moment < end:
        free = thaw(freezes, moment)
        total += min(free, end) - moment
        moment = _next_freeze(freezes, max(free, moment), end)
    return total


def endless(freezes: Sequence[Freeze]) -> bool:
    """Say whether the weekly freezes leave no moment free."""
    weekly = [freeze for freeze in freezes if freeze.fixed is None]
    return thaw(weekly, _MONDAY) >= _MONDAY + _HORIZON


def day_of(text: str) -> int | None:
    """Return the day's number for `mon` or `monday`; None if it is no weekday."""
    short = text.strip().lower()[:3]
    return WEEKDAYS.index(short) if short in WEEKDAYS else None


def moment_of(text: str) -> float | None:
    """Return Unix seconds from `2026-12-24` or `2026-12-24T18:00`, UTC; None if it is neither."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def clock_of(text: str) -> float | None:
    """Return the seconds of the day from `18:30`; `24:00` is its end; None if it is neither."""
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal()):
        return None
    seconds = int(hours) * 3600.0 + int(minutes) * 60.0
    return seconds if seconds <= DAY and int(minutes) < 60 else None  # noqa: PLR2004 - minutes


def _next_freeze(freezes: Sequence[Freeze], now: float, end: float) -> float:
    """Return when the next window begins, `end` at the latest."""
    found = end
    for freeze in freezes:
        if freeze.fixed is not None:
            starts = [freeze.fixed.start]
        else:
            begin = freeze.hours[0]
            into_week = (now - _MONDAY) % WEEK
            starts = [now + (day * DAY + begin - into_week) % WEEK for day in freeze.days]
        found = min([found, *(start for start in starts if start > now)])
    return found
