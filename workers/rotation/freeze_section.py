"""The list `freezes` of the configuration."""

from __future__ import annotations

from workers.rotation.freeze import DAY, Freeze, Window, clock_of, day_of, moment_of
from workers.section import Section


def read_freezes(section: Section) -> tuple[Freeze, ...]:
    """Read the list `freezes` of a section."""
    return tuple(
        freeze
        for inner in section.sections("freezes", "freeze")
        if (freeze := _freeze(inner)) is not None
    )


def _freeze(section: Section) -> Freeze | None:
    name = section.text("name", "freeze")
    days, hours = section.texts("weekdays"), section.text("hours")
    start, end = section.text("from"), section.text("to")
    section.close()
    if (days is None) == (not start and not end):
        section.problem('a freeze has either "from" and "to", or "weekdays"')
        return None
    if days is None:
        return _fixed(section, name, start, end)
    numbers = [day_of(day.value) for day in days]
    for day, number in zip(days, numbers, strict=True):
        if number is None:
            section.findings.problem(day.line, f'"{day.value}" is no weekday')
    known = tuple(number for number in numbers if number is not None)
    return Freeze(name, days=known, hours=_hours(section, hours))


def _fixed(section: Section, name: str, start: str, end: str) -> Freeze | None:
    first, last = moment_of(start), moment_of(end)
    for field, moment in (("from", first), ("to", last)):
        if moment is None:
            section.problem(f'"{field}" must be a day or a time, such as 2026-12-24T18:00', field)
    if first is None or last is None:
        return None
    if last <= first:
        section.problem('"to" must be later than "from"', "to")
    return Freeze(name, fixed=Window(first, last))


def _hours(section: Section, text: str) -> tuple[float, float]:
    if not text:
        return (0.0, DAY)
    first, _, last = text.partition("-")
    begin, end = clock_of(first), clock_of(last)
    if begin is None or end is None or begin == end:
        section.problem('"hours" must be such as 18:00-08:00', "hours")
        return (0.0, DAY)
    return (begin, end)
