"""The demo keeps its promises."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, Module, wait_for


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Module]]:
    """Yield a function that starts the demo; it is ended with the test, as by Ctrl-C."""
    running: list[Module] = []

    def begin(**environ: str) -> Module:
        running.append(Module("tests.demo", environ=environ, log=tmp_path / "demo.log"))
        return running[-1]

    yield begin
    for demo in running:
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(60)


@pytest.mark.timeout(300)
def test_everything_arrives_once(start: Callable[..., Module]) -> None:
    """With ONCE=1 the demo ends by itself with status 0, without colour in a pipe."""
    demo = start(ONCE="1")

    status = demo.process.wait(270)

    shown = demo.log.read_text()
    assert status == 0, shown
    assert "Everything arrived" in shown
    assert "revoked -> confirmed         401 for the old key, twice" in shown
    assert "[resolved] SynapCredentialExpiring" in shown
    assert "\x1b[" not in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.timeout(300)
def test_printed_line_works(start: Callable[..., Module]) -> None:
    """The line for the reader's own event, pasted into a shell, is accepted and pages."""
    for tool in ("bash", "curl", "openssl"):
        assert shutil.which(tool), f"this test runs the demo's printed line, which needs {tool}"
    demo = start()
    log = demo.log

    wait_for(lambda: "Ctrl-C ends" in log.read_text(), seconds=250, what="the demo to be up")
    line = next(line for line in log.read_text().splitlines() if line.startswith("body="))
    answer = subprocess.check_output(["bash", "-c", line], text=True)
    wait_for(lambda: "Synap refused" in log.read_text(), seconds=20, what="the page")
    demo.process.send_signal(signal.SIGINT)

    assert answer.strip() == '{"status":"accepted"}'
    assert demo.process.wait(60) == 0, log.read_text()


def test_nothing_of_the_caller_is_used() -> None:
    """A secret in the caller's environment reaches no process of the demo."""
    script = (
        "from pathlib import Path; import tempfile; from tests.demo.stage import Stage\n"
        "stage = Stage(Path(tempfile.mkdtemp()))\n"
        "found = [Path(f'/proc/{m.process.pid}/environ').read_bytes() for m in stage._modules]\n"
        "stage.wait_ready(); stage.close()\n"
        "print([b'the-callers-own' in text for text in found])"
    )
    environ = os.environ | {"PAGERDUTY_ROUTING_KEY": "the-callers-own", "SYNAP_REDIS_URL": "x"}

    said = subprocess.check_output([sys.executable, "-c", script], env=environ, text=True, cwd=ROOT)

    assert said.strip() == "[False, False]"
