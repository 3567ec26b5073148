"""Cases for the routes: a file of alerts and the receivers that they must reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from workers.alerting.route import Route
from workers.cli import output
from workers.cli.exits import Misuse
from workers.document import load
from workers.section import DocumentError, Section

HEAD: Final = ("CASE", "LINE", "EXPECTED", "REACHED", "")


class Case(NamedTuple):
    """An alert by its labels, and who must hear of it, in order."""

    name: str
    labels: dict[str, str]
    receivers: tuple[str, ...]
    line: int


class Tried(NamedTuple):
    """A case and who would hear of it."""

    case: Case
    reached: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether exactly the expected receivers are reached, in their order."""
        return self.reached == self.case.receivers


def tried(root: Route, file: str, *, as_json: bool) -> bool:
    """Try every case of a file, print what came of each, and say whether all hold.

    Raises:
        Misuse: the file holds no cases, or not as they are written.
    """
    results = [
        Tried(case, tuple(route.options.receiver for route in root.match(case.labels)))
        for case in _read(file)
    ]
    failed = sum(not result.holds for result in results)
    if as_json:
        output.document({"ok": not failed, "cases": [_shape(result) for result in results]})
    else:
        output.table(HEAD, [_cells(result) for result in results])
        click.echo(f"{len(results) - failed} hold, {failed} do not")
    return not failed


def _read(file: str) -> Sequence[Case]:
    try:
        document = load(Path(file))
        cases = [_case(section) for section in document.sections("cases", "case")]
        if not cases:
            document.problem("there are no cases: write a list under `cases:`")
        document.close()
        document.findings.raise_if_any()
    except DocumentError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise Misuse(f"the cases cannot be read:\n{lines}") from error
    return cases


def _case(section: Section) -> Case:
    labels = section.table("labels")
    receivers = section.texts("receivers")
    if not labels:
        section.problem("a case needs labels")
    if not receivers:
        section.problem("a case needs the receivers that it must reach")
    name = section.text("name") or " ".join(f"{name}={value}" for name, value in labels.items())
    section.close()
    return Case(name, labels, tuple(text.value for text in receivers or ()), section.line)


def _cells(result: Tried) -> tuple[str, ...]:
    case = result.case
    verdict = "holds" if result.holds else "DIFFERS"
    return case.name, str(case.line), ",".join(case.receivers), ",".join(result.reached), verdict


def _shape(result: Tried) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "line": result.case.line,
        "labels": result.case.labels,
        "expected": result.case.receivers,
        "receivers": result.reached,
        "ok": result.holds,
    }
