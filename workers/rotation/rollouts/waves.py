"""The waves of a rollout whose workloads only the operator's own side knows."""

from __future__ import annotations

from typing import Final

from workers.section import Section

EVERYTHING: Final = "all"


def read_waves(section: Section) -> tuple[tuple[str, ...], ...]:
    """Read `waves`, a list of names, the canary first; everything at once if there is none."""
    found = section.texts("waves")
    if found is None:
        return ((EVERYTHING,),)
    names = [text.value for text in found]
    for text in found:
        if not text.value or names.count(text.value) > 1:
            section.findings.problem(text.line, "each wave needs a name of its own")
    if not found:
        section.problem('"waves" is empty: leave it out, or name the canary first', "waves")
    return tuple((name,) for name in names)
