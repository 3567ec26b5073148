"""One rotation as a timeline, from the first warning to the revoked key; its clock is moved."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator

from tests.demo.paint import WIDTH, rule, say
from tests.servers import ROOT

STORY = "tests.system.rotation_story"
INDENT = 25


def rotate() -> Iterator[str]:
    """Play the story in a process of its own and print it as it goes; yield what went wrong."""
    rule("A credential is rotated: 48 h in a few seconds")
    command = [sys.executable, "-m", STORY]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as playing:
        assert playing.stdout is not None
        for line in playing.stdout:
            say(textwrap.fill(line.rstrip(), WIDTH, subsequent_indent=" " * INDENT))
    if playing.returncode:
        yield f"the rotation came to no end: python -m {STORY}"
