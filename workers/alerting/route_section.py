"""The `route` section of the configuration, read strictly, in Alertmanager's words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from workers.alerting.matchers import Matcher, MatcherError, Op
from workers.alerting.route import Spec
from workers.alerting.syntax import parse
from workers.alerting.texts import Template, TextError
from workers.section import Section, Text

LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
EVERY_LABEL: Final = "..."
MAX_DEPTH: Final = 32


def read_root(section: Section) -> Spec:
    """Read the root route; problems are noted in the section's findings."""
    spec = read_route(section)
    if not spec.receiver:
        section.problem("root route must specify a default receiver")
    if spec.matchers:
        section.problem("root route must not have any matchers")
    if spec.mute_time_intervals:
        section.problem("root route must not have any mute time intervals", "mute_time_intervals")
    if spec.active_time_intervals:
        section.problem(
            "root route must not have any active time intervals", "active_time_intervals"
        )
    if spec.goes_on:
        section.problem("cannot have continue in root route", "continue")
    return spec


def read_route(section: Section, depth: int = 0) -> Spec:
    """Read one route and those below it; problems are noted in the section's findings."""
    if depth > MAX_DEPTH:
        section.problem(f"routes are nested more than {MAX_DEPTH} deep")
        return Spec(line=section.line)
    group_by, group_by_all = _group_by(section)
    spec = Spec(
        receiver=section.text("receiver"),
        matchers=tuple(_matchers(section)),
        group_by=group_by,
        group_by_all=group_by_all,
        group_wait=section.duration("group_wait"),
        group_interval=_positive(section, "group_interval"),
        repeat_interval=_positive(section, "repeat_interval"),
        goes_on=section.flag("continue", default=False),
        labels=_labels(section),
        mute_time_intervals=tuple(
            text.value for text in section.texts("mute_time_intervals") or ()
        ),
        active_time_intervals=tuple(
            text.value for text in section.texts("active_time_intervals") or ()
        ),
        routes=tuple(read_route(child, depth + 1) for child in section.sections("routes", "route")),
        line=section.line,
    )
    section.close()
    return spec


def check_names(
    spec: Spec, section: Section, receivers: Collection[str], intervals: Collection[str]
) -> None:
    """Note every receiver or time interval that a route names and nobody defined."""
    findings = section.findings
    if spec.receiver and spec.receiver not in receivers:
        findings.problem(spec.line, f'undefined receiver "{spec.receiver}" used in route')
    for name in (*spec.mute_time_intervals, *spec.active_time_intervals):
        if name not in intervals:
            findings.problem(spec.line, f'undefined time interval "{name}" used in route')
    for child in spec.routes:
        check_names(child, section, receivers, intervals)


def read_matchers(texts: list[Text], section: Section) -> Iterator[Matcher]:
    """Read a list of matcher texts; each problem and doubt is noted at its line."""
    for text in texts:
        try:
            parsed = parse(text.value)
        except MatcherError as error:
            section.findings.problem(text.line, str(error))
            continue
        if parsed.warning:
            section.findings.warn(text.line, f"matcher {text.value}: {parsed.warning}")
        yield from parsed.matchers


def read_table(section: Section, equal: str, regex: str) -> Iterator[Matcher]:
    """Read matchers that are written as two mappings from label to value, and to pattern."""
    yield from _table(section, equal, Op.EQUAL, "{}")
    yield from _table(section, regex, Op.REGEX, "^(?:{})$")


def _matchers(section: Section) -> Iterator[Matcher]:
    """Read the three ways in which a route says what it matches."""
    yield from read_table(section, "match", "match_re")
    yield from read_matchers(section.texts("matchers") or [], section)


def _table(section: Section, name: str, op: Op, form: str) -> Iterator[Matcher]:
    for label, value in section.table(name).items():
        if not LABEL_NAME.fullmatch(label):
            section.problem(f'invalid label name "{label}"', name)
            continue
        try:
            yield Matcher(label, op, form.replace("{}", value))
        except MatcherError as error:
            section.problem(str(error), name)


def _group_by(section: Section) -> tuple[tuple[str, ...] | None, bool]:
    """Return the labels grouped by, None if the parent's hold, and whether all are."""
    texts = section.texts("group_by")
    if texts is None:
        return None, False
    names = [text.value for text in texts if text.value != EVERY_LABEL]
    everything = len(names) < len(texts)
    for text in texts:
        if text.value != EVERY_LABEL and not LABEL_NAME.fullmatch(text.value):
            message = f'invalid label name "{text.value}" in group_by list'
            section.findings.problem(text.line, message)
    if names and everything:
        section.problem(
            "cannot have wildcard group_by (`...`) and other labels at the same time", "group_by"
        )
    for name in sorted({name for name in names if names.count(name) > 1}):
        section.problem(f'duplicated label "{name}" in group_by', "group_by")
    return (None, True) if everything else (tuple(names), False)


def _positive(section: Section, name: str) -> float | None:
    seconds = section.duration(name)
    if seconds == 0:
        section.problem(f"{name} cannot be zero", name)
    return seconds


def _labels(section: Section) -> dict[str, str]:
    labels = section.table("labels")
    for name in labels:
        if not LABEL_NAME.fullmatch(name):
            section.problem(f'invalid label name "{name}" in route labels', "labels")
        try:
            Template(labels[name])
        except TextError as error:
            section.problem(f'label "{name}": {error}', "labels")
    return labels
