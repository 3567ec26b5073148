"""The README's tables, as the contract tests read them."""

from __future__ import annotations

import re

from tests.servers import ROOT

_ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def section(title: str) -> str:
    """Return what stands under a second-level heading.

    Raises:
        AssertionError: there is no such heading.
    """
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"README has no section {title!r}"
    return found[1]


def first_column(title: str) -> list[str]:
    """Return the names in the first column of a section's tables."""
    return _ROW.findall(section(title))
