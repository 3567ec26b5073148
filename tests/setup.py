"""Make `.venv` from the hashed pins, and say how it goes. Standard library only.

A stamp in `.venv` carries the checksum of what it was made from: unchanged means nothing to do.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".made-from"
LOG = VENV / "setup.log"
PINS = ROOT / "requirements-dev.txt"


def wanted() -> str:
    """Return the checksum of everything that `.venv` is made from."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()} {ROOT}".encode())
    for path in (PINS, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def usable() -> bool:
    """Say whether `.venv` has an interpreter of this version that runs and has pip."""
    ask = "import sys, pip; print(sys.version)"
    try:
        answer = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.stdout.strip() == sys.version.strip()


def create() -> None:
    """Create an empty `.venv`.

    Raises:
        SystemExit: this Python cannot; names the package that is missing.
    """
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False
    )
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"{made.stdout}{made.stderr}\nmake: Python {version} cannot make a virtual "
            f"environment; on Debian and Ubuntu: apt install python{version}-venv"
        )


def pip(*arguments: str, total: int = 0) -> None:
    """Run pip's install; show the count of packages as they come.

    Raises:
        SystemExit: it failed; shows the end of its output.
    """
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    seen = 0
    with (
        LOG.open("a") as log,
        subprocess.Popen(
            [*command, "--progress-bar", "off", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running,
    ):
        assert running.stdout is not None
        for line in running.stdout:
            log.write(line)
            if total and line.startswith(("Collecting ", "Requirement already satisfied")):
                seen += 1
                show(f"  packages {min(seen, total):3d}/{total}")
            elif line.startswith("Installing collected"):
                show("  unpacking      ")
    if running.returncode:
        tail = "".join(LOG.read_text().splitlines(keepends=True)[-15:])
        sys.exit(f"\n{tail}\nmake: pip failed; its whole output is in {LOG.relative_to(ROOT)}")


def show(text: str) -> None:
    """Write one line of progress over the last; a file or a pipe gets none of them."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{text}")
        sys.stdout.flush()


def main() -> None:
    """Bring `.venv` to what the pins say."""
    aim = wanted()
    if STAMP.exists() and STAMP.read_text() == aim and usable():
        return
    began = time.monotonic()
    print("Setting up .venv from the hashed pins (once; about a minute)", flush=True)
    if not usable():
        create()
    LOG.unlink(missing_ok=True)
    total = sum("==" in line for line in PINS.read_text().splitlines())
    # The pins are complete, so nothing is to be resolved: a resolver may reach for a newer release
    # of a package that another asks for with an extra, and finds no hash for it.
    pip("--require-hashes", "--no-deps", "-r", str(PINS), total=total)
    pip("--no-deps", "--no-build-isolation", "-e", ".")
    STAMP.write_text(aim)
    show("")
    print(f"Set up in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
