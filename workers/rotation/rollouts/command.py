"""Rollout `command`: a program of the operator's own, given as an argument list, never a shell.

It runs to its end: exit status 0 means that the wave is out. What it prints goes nowhere, since
nobody can tell what is in it. It sees PATH, what the configuration gives it, and

    SYNAP_HOOKS_ROTATION   SYNAP_HOOKS_WAVE   SYNAP_HOOKS_AT   SYNAP_HOOKS_TOKEN

A file in `state_dir` says that it was begun, before it is, and how it ended, so that a killed
worker never makes a second restart. With `status_command`, that program decides how far the wave
is: exit status 0 done, 75 still running, any other failed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from workers.rotation.errors import PermanentError, Reason, TransientError
from workers.rotation.ports import CALL_SECONDS, Phase, Progress, Stamp
from workers.rotation.rollouts.waves import read_waves
from workers.section import Section

TIMEOUT: Final = 20.0
LONGEST: Final = CALL_SECONDS - 5.0
STILL_RUNNING: Final = 75
"""EX_TEMPFAIL of sysexits.h."""

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})


class Mark(StrEnum):
    """What the file of a wave says."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


class Command:
    """Runs a program for each wave."""

    def __init__(
        self,
        command: Sequence[str],
        state_dir: Path,
        waves: Sequence[tuple[str, ...]],
        *,
        status_command: Sequence[str] = (),
        environment: Mapping[str, str],
        timeout: float = TIMEOUT,
    ) -> None:
        self._command = list(command)
        self._status_command = list(status_command)
        self._state_dir = state_dir
        self._waves = waves
        self._environment = dict(environment)
        self._timeout = timeout

    def waves(self) -> Sequence[tuple[str, ...]]:
        """Return the waves of the configuration."""
        return self._waves

    def status(self, wave: tuple[str, ...], stamp: Stamp) -> Progress:
        """Return what the wave's file says, or what the status program says of it."""
        mark = self._mark(wave, stamp)
        if mark is None:
            return Progress(Phase.ABSENT, "it was not begun")
        if mark is Mark.FAILED:
            return Progress(Phase.FAILED, "the command failed")
        if self._status_command:
            return _progress(self._run(self._status_command, wave, stamp))
        if mark is Mark.BEGUN:
            return Progress(Phase.UNKNOWN, "the command was begun; how it ended is not known")
        return Progress(Phase.DONE, "the command succeeded")

    def start(self, wave: tuple[str, ...], stamp: Stamp) -> None:
        """Run the program to its end, unless it has succeeded for this wave."""
        if self._mark(wave, stamp) is Mark.DONE:
            return
        self._set_mark(wave, stamp, Mark.BEGUN)
        try:
            code = self._run(self._command, wave, stamp)
        except PermanentError:
            self._file(wave, stamp).unlink(missing_ok=True)  # nothing ran
            raise
        self._set_mark(wave, stamp, Mark.FAILED if code else Mark.DONE)

    def _run(self, command: Sequence[str], wave: tuple[str, ...], stamp: Stamp) -> int:
        """Run a program with its children, and end them all when its time is over."""
        known = {
            "SYNAP_HOOKS_ROTATION": stamp.rotation,
            "SYNAP_HOOKS_WAVE": " ".join(wave),
            "SYNAP_HOOKS_AT": f"{stamp.at:.0f}",
            "SYNAP_HOOKS_TOKEN": stamp.token,
        }
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own argument list
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**self._environment, **known},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise _unstartable(error) from None
        try:
            return process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            said = f"command: not ended after {self._timeout:g} s"
            raise TransientError(Reason.TIMEOUT, said) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _mark(self, wave: tuple[str, ...], stamp: Stamp) -> Mark | None:
        try:
            return Mark(self._file(wave, stamp).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            said = f"command: its state cannot be read ({type(error).__name__})"
            raise PermanentError(Reason.INVALID, said) from None

    def _set_mark(self, wave: tuple[str, ...], stamp: Stamp, mark: Mark) -> None:
        """Write the file so that it lasts before anything is done about it."""
        path = self._file(wave, stamp)
        draft = path.with_suffix(".draft")
        try:
            with draft.open("wb") as opened:
                opened.write(mark.encode())
                opened.flush()
                os.fsync(opened.fileno())
            draft.replace(path)
        except OSError as error:
            said = f"command: its state cannot be written ({type(error).__name__})"
            raise PermanentError(Reason.DENIED, said) from None

    def _file(self, wave: tuple[str, ...], stamp: Stamp) -> Path:
        name = hashlib.sha256("\n".join((stamp.rotation, *wave)).encode()).hexdigest()[:32]
        return self._state_dir / f"{name}.wave"


def _progress(code: int) -> Progress:
    if code == 0:
        return Progress(Phase.DONE, "the status command says that it is out")
    if code == STILL_RUNNING:
        return Progress(Phase.RUNNING, "the status command says that it is on its way")
    return Progress(Phase.FAILED, f"the status command ended with {code}")


def _unstartable(error: OSError | ValueError) -> PermanentError:
    denied = isinstance(error, OSError) and error.errno in _DENIED
    reason = Reason.DENIED if denied else Reason.NOT_FOUND
    return PermanentError(reason, f"command: it cannot be started ({type(error).__name__})")


def read(section: Section) -> Command:
    """Read the entry of type `command`."""
    command = [text.value for text in section.texts("command") or ()]
    if not command or not command[0]:
        section.problem('field "command" must be a list: the program, then its arguments')
    state_dir = section.text("state_dir")
    if not state_dir:
        section.problem('field "state_dir" is missing: a folder that outlives the process')
    timeout = section.duration("timeout")
    if timeout is not None and not 0 < timeout <= LONGEST:
        section.problem(
            f"timeout must be at most {LONGEST:g}s: begin what takes longer in the background, "
            'and say by "status_command" how far it is',
            "timeout",
        )
    return Command(
        command,
        section.findings.base / state_dir,
        read_waves(section),
        status_command=[text.value for text in section.texts("status_command") or ()],
        environment={"PATH": os.defpath, **section.table("environment")},
        timeout=TIMEOUT if timeout is None else timeout,
    )
