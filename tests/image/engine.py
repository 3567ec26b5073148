"""An image engine without a daemon: buildah builds, podman runs, in a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

BASE: Final = "docker.io/library/python:3.13-slim"
NEEDED: Final = ("buildah", "podman", "runc", "mmdebstrap")
PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"
OF_THIS_MACHINE: Final = (
    Path("/etc/ssl/certs"),
    Path("/etc/pip.conf"),
    Path.home() / ".config" / "pip",
)
"""What pip needs within a build to reach the index that it reaches here."""

CONFINED: Final = (
    "--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--network=host", "--pull=never", "--no-healthcheck",
    "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
)  # fmt: skip


def missing() -> list[str]:
    """Return the programs that are not here."""
    return [name for name in NEEDED if shutil.which(name) is None]


class Engine:
    """Builds and runs images whose storage lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._storage = ("--root", str(folder / "store"), "--runroot", str(folder / "run"))

    def make_base(self) -> None:
        """Make a base image with Python 3.13 out of Debian's packages, once."""
        if self._buildah("images", "--quiet", BASE, check=False).stdout.strip():
            return
        context = self._folder / "base"
        context.mkdir(parents=True, exist_ok=True)
        archive = str(context / "base.tar")
        _run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", archive)
        (context / "Dockerfile").write_text(
            "FROM scratch\nADD base.tar /\nRUN ln -s /usr/bin/python3 /usr/local/bin/python\n"
        )
        self.build(context, BASE)

    def build(self, context: Path, tag: str, **arguments: str) -> None:
        """Build the Dockerfile of `context`, offline but for pip.

        Raises:
            RuntimeError: it failed; with the end of what was said.
        """
        mounts = [f"--volume={path}:{path}:ro" for path in OF_THIS_MACHINE if path.exists()]
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        options = ("--isolation=chroot", "--network=host", "--pull=never", "--format=docker")
        self._buildah("build", *options, *mounts, *given, f"--tag={tag}", str(context))

    def size(self, tag: str) -> int:
        """Return the bytes of an image."""
        return int(self._podman("image", "inspect", "--format", "{{.Size}}", tag).stdout)

    def start(
        self, tag: str, name: str, *command: str, env: Mapping[str, str], mount: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a container without rights that writes nowhere but to /tmp."""
        given = [f"--env={key}={value}" for key, value in env.items()]
        given += [f"--volume={mount}:/keys:ro"] if mount else []
        line = self._line("podman", "run", "--rm", f"--name={name}", *CONFINED, *given, tag)
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen([*line, *command], stdout=log, stderr=subprocess.STDOUT)

    def run(self, tag: str, *command: str, entrypoint: str) -> None:
        """Run a command in a container without rights, to its end.

        Raises:
            RuntimeError: it failed; with the end of what was said.
        """
        self._podman("run", "--rm", *CONFINED, f"--entrypoint={entrypoint}", tag, *command)

    def within(self, name: str, *command: str) -> str:
        """Return what a command prints within a running container; its status is not looked at."""
        return self._podman("exec", name, *command, check=False).stdout

    def signal(self, name: str, number: str) -> None:
        """Send a signal to a container's first process, if it runs."""
        self._podman("kill", "--signal", number, name, check=False)

    def _buildah(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        line = ("buildah", "--storage-driver=overlay", *self._storage, *arguments)
        return _run(*line, check=check)

    def _podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return _run(*self._line("podman", *arguments), check=check)

    def _line(self, program: str, *arguments: str) -> Sequence[str]:
        own = ("--runtime", "runc", "--storage-driver=overlay", "--cgroup-manager=cgroupfs")
        return (program, *own, *self._storage, *arguments)


def _run(*line: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    if check and ran.returncode:
        raise RuntimeError(f"{' '.join(line[:2])} failed:\n{(ran.stdout + ran.stderr)[-3000:]}")
    return ran
