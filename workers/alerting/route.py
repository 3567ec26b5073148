"""The routing tree: which receivers hear of an alert. Pure: labels in, routes out.

A child starts from its parent's options and overrides some. An alert goes to the first child
that takes it, and on to its siblings only where that child says `continue`; what no child takes
stays with the node itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import Final, NamedTuple

from workers.alerting.matchers import Matcher, quoted, text_of

GROUP_WAIT: Final = 30.0
GROUP_INTERVAL: Final = 300.0
REPEAT_INTERVAL: Final = 4 * 3600.0
"""Seconds that hold where the root says nothing."""

_MEMORY: Final = 20_000
"""Label combinations that a router remembers before it starts afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One route as it is written; None and the empty text mean absent. Durations are seconds."""

    receiver: str = ""
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] | None = None
    group_by_all: bool = False
    group_wait: float | None = None
    group_interval: float | None = None
    repeat_interval: float | None = None
    goes_on: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    routes: tuple[Spec, ...] = ()
    line: int = 0


class Options(NamedTuple):
    """What a child inherits from its parent; durations are seconds."""

    receiver: str = ""
    group_by: frozenset[str] = frozenset()
    group_by_all: bool = False
    group_wait: float = GROUP_WAIT
    group_interval: float = GROUP_INTERVAL
    repeat_interval: float = REPEAT_INTERVAL
    labels: Mapping[str, str] = MappingProxyType({})

    def overridden(self, spec: Spec) -> Options:
        """Return a copy with what the route itself says; 0 is a value, not absence."""
        listed = spec.group_by
        return Options(
            receiver=spec.receiver or self.receiver,
            group_by=self.group_by if listed is None else frozenset(listed),
            group_by_all=spec.group_by_all or (listed is None and self.group_by_all),
            group_wait=_either(spec.group_wait, self.group_wait),
            group_interval=_either(spec.group_interval, self.group_interval),
            repeat_interval=_either(spec.repeat_interval, self.repeat_interval),
            labels={**self.labels, **spec.labels},
        )


@dataclass(frozen=True, kw_only=True)
class Route:
    """One node of the tree with everything it inherited. Durations are seconds.

    `idx` counts in post-order: children come before their parent. `id` is unique in the tree,
    `key` is not: it speaks of matchers alone. `slot` is unique too, and stays when routes with
    other matchers come or go around it: what is stored speaks of slots.
    """

    idx: int
    id: str
    key: str
    slot: str
    options: Options
    matchers: tuple[Matcher, ...]
    goes_on: bool
    mute_time_intervals: tuple[str, ...]
    active_time_intervals: tuple[str, ...]
    routes: tuple[Route, ...]
    line: int

    def match(self, labels: Mapping[str, str]) -> list[Route]:
        """Return the routes that take an alert with these labels, in order."""
        for matcher in self.matchers:
            if not matcher.test(labels.get(matcher.name, "")):
                return []
        reached: list[Route] = []
        for child in self.routes:
            found = child.match(labels)
            reached += found
            if found and not child.goes_on:
                break
        return reached or [self]

    def walk(self) -> Iterator[Route]:
        """Yield this node and all below it, parents first."""
        yield self
        for child in self.routes:
            yield from child.walk()

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the labels that name an alert's group: those grouped by that it has."""
        if self.options.group_by_all:
            return dict(labels)
        return {name: labels[name] for name in self.options.group_by if name in labels}

    def group_key(self, group_labels: Mapping[str, str]) -> str:
        """Return the group's readable key: `{}/{team="mem"}:{alertname="ingestion_failed"}`."""
        pairs = (f"{name}={quoted(group_labels[name])}" for name in sorted(group_labels))
        return f"{self.key}:{{{', '.join(pairs)}}}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The label names that decide anything in this tree, sorted."""
        return tuple(sorted({m.name for route in self.walk() for m in route.matchers}))

    @cached_property
    def signature(self) -> str:
        """What changes when alerts of this tree would come to other groups: 16 hex digits."""
        nodes = [
            (node.slot, node.goes_on, sorted(node.options.group_by), node.options.group_by_all)
            for node in self.walk()
        ]
        return hashlib.sha256(repr(nodes).encode()).hexdigest()[:16]


class Router:
    """The tree with a bounded memory: alerts alike in what the tree looks at go the same way."""

    def __init__(self, root: Route) -> None:
        self.root = root
        self._memory: dict[tuple[str, ...], tuple[Route, ...]] = {}

    def routes(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """Return the routes that take an alert with these labels, in order."""
        looked_at = tuple([labels.get(name, "") for name in self.root.names])
        known = self._memory.get(looked_at)
        if known is None:
            known = tuple(self.root.match(labels))
            if len(self._memory) >= _MEMORY:
                self._memory.clear()
            self._memory[looked_at] = known
        return known


def build(spec: Spec) -> Route:
    """Return the tree of a root route as it is written."""
    return _build(spec, None, 0, _Numbers(count(), {}))


def _build(spec: Spec, above: _Place | None, place: int, numbers: _Numbers) -> Route:
    """Build the node that stands at `place` among the children of `above`."""
    matchers = tuple(sorted(spec.matchers, key=lambda matcher: matcher.sort_key))
    text = text_of(matchers)
    here = _Place(
        key=f"{above.key}/{text}" if above else text,
        id=f"{above.id}/{text}/{place}" if above else text,
        options=(above.options if above else Options()).overridden(spec),
    )
    twin = numbers.twins[here.key] = numbers.twins.get(here.key, -1) + 1
    children = tuple(_build(child, here, at, numbers) for at, child in enumerate(spec.routes))
    return Route(
        idx=next(numbers.idx),
        id=here.id,
        key=here.key,
        slot=f"{here.key}#{twin}",
        options=here.options,
        matchers=matchers,
        goes_on=spec.goes_on,
        mute_time_intervals=spec.mute_time_intervals,
        active_time_intervals=spec.active_time_intervals,
        routes=children,
        line=spec.line,
    )


class _Place(NamedTuple):
    """What a child must know of its parent."""

    key: str
    id: str
    options: Options


class _Numbers(NamedTuple):
    """The post-order counter, and how many routes of each key there were so far."""

    idx: Iterator[int]
    twins: dict[str, int]


def _either(own: float | None, inherited: float) -> float:
    return inherited if own is None else own
