"""Why an alert goes where it goes: the way through the tree, route by route. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from workers.alerting.matchers import quoted
from workers.alerting.route import Route


class Step(NamedTuple):
    """One route that was asked, or passed over; `depth` counts from the root's 0.

    `reached` says that the alert stays with it.
    """

    route: Route
    depth: int
    reached: bool
    why: str


def trace(root: Route, labels: Mapping[str, str]) -> list[Step]:
    """Return what each route said, parents first; reached are exactly those of `Route.match`."""
    steps: list[Step] = []
    _ask(root, labels, 0, steps)
    return steps


def _ask(route: Route, labels: Mapping[str, str], depth: int, steps: list[Step]) -> bool:
    """Ask a route and those below it; return whether any of them takes the alert."""
    refusing = next((m for m in route.matchers if not m.matches(labels)), None)
    if refusing is not None:
        has = f"{refusing.name}={quoted(labels.get(refusing.name, ''))}"
        steps.append(Step(route, depth, reached=False, why=f"{has} is not {refusing}"))
        return False
    place = len(steps)
    steps.append(Step(route, depth, reached=True, why=_taken(route)))
    taken = stopped = False
    for child in route.routes:
        if stopped:
            why = "not asked: the one before took it and does not continue"
            steps.append(Step(child, depth + 1, reached=False, why=why))
            continue
        found = _ask(child, labels, depth + 1, steps)
        taken = taken or found
        stopped = found and not child.goes_on
    if taken:
        steps[place] = Step(route, depth, reached=False, why="left to the routes below it")
    return True


def _taken(route: Route) -> str:
    found = "all its matchers hold" if route.matchers else "it has no matchers"
    if route.routes:
        found += ", and no route below takes it"
    return f"{found}; goes on (continue)" if route.goes_on else found
