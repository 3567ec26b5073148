"""The table of values in the chart's README: `python -m tests.helm.readme` writes it anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from tests.helm.chart import CHART

README: Final = CHART / "README.md"
BEGIN: Final = "<!-- values: begin (python -m tests.helm.readme writes this table) -->\n"
END: Final = "<!-- values: end -->"

_COMMENT: Final = re.compile(r"^ *# -- (.+)$")
_KEY: Final = re.compile(r"^( *)([\w-]+):")


class Value(NamedTuple):
    """One documented key of values.yaml."""

    path: str
    default: Any
    text: str


def documented() -> Iterator[Value]:
    """Yield each key of values.yaml that has a comment of its own."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    stack: list[str] = []
    comment = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        key = _KEY.match(line)
        if key:
            stack = [*stack[: len(key[1]) // 2], key[2]]
            if comment:
                yield Value(".".join(stack), _at(values, stack), comment)
        found = _COMMENT.match(line)
        comment = found[1] if found else ""


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the path of every value that is no further map, or an empty one."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, (*path, name))
    else:
        yield ".".join(path)


def table() -> str:
    """Return the table of values."""
    rows = "".join(
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.text} |\n"
        for value in documented()
    )
    return f"\n| value | default | what it is |\n|---|---|---|\n{rows}\n"


def split() -> tuple[str, str, str]:
    """Return the README before, within and after its table of values."""
    before, rest = README.read_text().split(BEGIN)
    within, after = rest.split(END)
    return before, within, after


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


if __name__ == "__main__":
    first, _, last = split()
    README.write_text(f"{first}{BEGIN}{table()}{END}{last}")
