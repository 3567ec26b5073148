"""What a configuration may say but probably does not mean: warnings, each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workers.alerting.intervals import Intervals
from workers.alerting.matchers import Matcher, Op
from workers.alerting.receivers import Receiver
from workers.alerting.route import Route
from workers.section import Section


def doubt(
    route: Route, receivers: Mapping[str, Receiver], intervals: Intervals, section: Section
) -> None:
    """Note every doubt in the section's findings."""
    _unused(route, receivers, intervals, section)
    for node in route.walk():
        _rounded(node, section)
    _unreachable(route, (), section)


def _unused(
    route: Route, receivers: Mapping[str, Receiver], intervals: Intervals, section: Section
) -> None:
    nodes = list(route.walk())
    told = {node.options.receiver for node in nodes} | {one.fallback for one in receivers.values()}
    for name in receivers:
        if name not in told:
            section.warn(f'receiver "{name}" is used by no route', "receivers")
    kept = {
        name for node in nodes for name in (*node.mute_time_intervals, *node.active_time_intervals)
    }
    for name in intervals:
        if name not in kept:
            section.warn(f'time interval "{name}" is used by no route', "time_intervals")


def _rounded(node: Route, section: Section) -> None:
    options = node.options
    if options.repeat_interval % options.group_interval:
        section.findings.warn(
            node.line,
            f"repeat_interval {options.repeat_interval:g}s is no multiple of group_interval "
            f"{options.group_interval:g}s: repeats come at the next multiple",
        )


def _unreachable(node: Route, above: tuple[Matcher, ...], section: Section) -> None:
    """Note routes that stand after one that takes all they could, and those that nobody meets."""
    before: list[Route] = []
    for child in node.routes:
        wanted = (*above, *child.matchers)
        first = next((one for one in before if _covers(one.matchers, wanted)), None)
        if first is not None:
            every = "every alert" if not first.matchers else "every alert that it would"
            section.findings.warn(child.line, f"unreachable route: one before it takes {every}")
        elif _contradict(wanted):
            section.findings.warn(child.line, "unreachable route: its matchers exclude each other")
        else:
            _unreachable(child, wanted, section)
        if not child.goes_on:
            before.append(child)


def _covers(first: Iterable[Matcher], later: Iterable[Matcher]) -> bool:
    """Say whether what matches the later route matches the first one too."""
    return set(first) <= set(later)


def _contradict(matchers: Iterable[Matcher]) -> bool:
    """Say whether one label would have to have two values, or not to have the one it must."""
    known = list(matchers)
    values = {one.name: one.value for one in known if one.op is Op.EQUAL}
    return any(one.name in values and not one.test(values[one.name]) for one in known)
