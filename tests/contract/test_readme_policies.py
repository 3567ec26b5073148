"""The policies of the README are the ones under which the stores are tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import ROOT

POLICIES = sorted((ROOT / "tests" / "workers" / "rotation" / "policies").iterdir())


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.name)
def test_policies_are_those_under_test(policy: Path) -> None:
    """Each stands in the README word for word."""
    assert policy.read_text() in (ROOT / "README.md").read_text()
