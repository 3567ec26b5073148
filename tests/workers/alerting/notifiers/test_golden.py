"""What people see is what was looked at and found good."""

from __future__ import annotations

import pytest

from tests.workers.alerting.notifiers.golden import HERE, rendered
from workers.alerting.notifiers import TARGETS
from workers.metrics import TARGETS as COUNTED

UNSEEN = {"log", "apprise"}
"""A line of the log has its own test; Apprise is handed the plain text."""


@pytest.mark.parametrize("name", sorted(rendered()))
def test_every_text_is_as_it_was(name: str) -> None:
    """A change of any word is seen when it is reviewed."""
    assert (HERE / name).read_text() == rendered()[name]


def test_nothing_is_left_over() -> None:
    """Every file is still somebody's text."""
    assert {path.name for path in HERE.iterdir()} == set(rendered())


def test_every_target_is_looked_at_and_counted() -> None:
    """No target is without a golden text, or without its metric."""
    seen = {name.split("-", 1)[1].split(".")[0] for name in rendered()} - {"text"}

    assert seen == set(TARGETS) - UNSEEN
    assert set(COUNTED) == set(TARGETS)
