"""`promtool`, where it is installed: it parses rules, runs their tests and reads metrics."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

import pytest

PROMTOOL: Final = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is missing: on Debian and Ubuntu, apt install prometheus"
)


def promtool(*arguments: str, given: str | None = None) -> str:
    """Run promtool and return what it says.

    Raises:
        AssertionError: it found something wrong; with what it said.
    """
    assert PROMTOOL is not None
    ran = subprocess.run(
        [PROMTOOL, *arguments], input=given, capture_output=True, text=True, check=False
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    return said
