"""Rollouts `command` and `none`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.processes import wait_for
from tests.workers.rotation.rollouts.namespace import configured
from workers.rotation.errors import PermanentError, Reason, TransientError
from workers.rotation.ports import Phase, Progress, Rollout, Stamp
from workers.section import DocumentError

STAMP = Stamp("rot-7f3a", 1_800_000_000.0, "6f0c9b0e-0000-5000-8000-000000000000")
CANARY = ("canary",)
LONG = (
    "hooks.yml:3: timeout must be at most 25s: begin what takes longer in the background, "
    'and say by "status_command" how far it is'
)


def script(folder: Path, name: str, text: str) -> list[str]:
    """Return the argument list of a program that notes that it ran, then does this."""
    path = folder / f"{name}.py"
    noted = f"open({str(folder / name)!r}, 'a').write('x')"
    path.write_text(f"import os, sys, time\n{noted}\n{text}\n")
    return [sys.executable, "-S", str(path)]


def ran(folder: Path, name: str) -> int:
    """Return how often a program ran."""
    path = folder / name
    return len(path.read_text()) if path.exists() else 0


def rollout(folder: Path, command: list[str], *others: str) -> Rollout:
    """Return a rollout by a program."""
    entry = [f"command: {json.dumps(command)}", "state_dir: .", "waves: [canary, rest]", *others]
    return configured(f"{{type: command, {', '.join(entry)}}}", folder)


def test_waves_in_order(tmp_path: Path) -> None:
    """Each wave is one run of the program; without waves there is one."""
    made = rollout(tmp_path, ["true"])
    plain = configured("{type: command, command: ['true'], state_dir: .}")

    assert made.waves() == (("canary",), ("rest",))
    assert plain.waves() == (("all",),)


def test_success(tmp_path: Path) -> None:
    """Absent before, done after; a repeat runs nothing, another wave and the way back do."""
    made = rollout(tmp_path, script(tmp_path, "restart", ""))
    before = made.status(CANARY, STAMP).phase
    made.start(CANARY, STAMP)
    rollout(tmp_path, script(tmp_path, "restart", "")).start(CANARY, STAMP)
    once = ran(tmp_path, "restart")
    made.start(("rest",), STAMP)
    made.start(CANARY, STAMP._replace(rotation="rot-7f3a-rb"))

    assert (before, made.status(CANARY, STAMP).phase) == (Phase.ABSENT, Phase.DONE)
    assert (once, ran(tmp_path, "restart")) == (1, 3)


def test_failure(tmp_path: Path) -> None:
    """Another exit status is a failed wave; started again, it runs again."""
    made = rollout(tmp_path, script(tmp_path, "restart", "sys.exit(3)"))
    made.start(CANARY, STAMP)
    failed = made.status(CANARY, STAMP)
    made.start(CANARY, STAMP)

    assert failed == Progress(Phase.FAILED, "the command failed")
    assert ran(tmp_path, "restart") == 2


def test_what_the_program_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH, the configuration's own and ours: no secret of the worker's environment."""
    monkeypatch.setenv("SYNAP_API_KEY", "synap_c4nary")
    seen = tmp_path / "seen"
    text = f"import json; open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))"
    made = rollout(tmp_path, script(tmp_path, "restart", text), "environment: {TARGET: web}")

    made.start(CANARY, STAMP)

    known = json.loads(seen.read_text())
    known.pop("LC_CTYPE", None)  # Python's own
    assert known == {
        "PATH": os.defpath,
        "TARGET": "web",
        "SYNAP_HOOKS_ROTATION": "rot-7f3a",
        "SYNAP_HOOKS_WAVE": "canary",
        "SYNAP_HOOKS_AT": "1800000000",
        "SYNAP_HOOKS_TOKEN": STAMP.token,
    }


def test_no_shell(tmp_path: Path) -> None:
    """An argument is an argument, whatever stands in it."""
    witness = tmp_path / "witness"
    rollout(tmp_path, ["echo", f"; touch {witness}", "$(touch x)"]).start(CANARY, STAMP)

    assert not witness.exists()


def test_what_it_prints_goes_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """However much that is: nobody can tell what is in it."""
    text = "[print('synap_c4nary' * 1000, file=f) for f in (sys.stdout, sys.stderr)] * 100"
    made = rollout(tmp_path, script(tmp_path, "restart", text))
    made.start(CANARY, STAMP)

    assert made.status(CANARY, STAMP).phase is Phase.DONE
    assert "c4nary" not in caplog.text + "".join(capfd.readouterr())


def test_a_program_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    """Its outcome is not known then, so nothing begins it again by itself."""
    child = tmp_path / "child"
    text = (
        "import subprocess\n"
        f"p = subprocess.Popen(['sleep', '60']); open({str(child)!r}, 'w').write(str(p.pid))\n"
        "time.sleep(60)"
    )
    made = rollout(tmp_path, script(tmp_path, "restart", text), "timeout: 1s")
    began = time.monotonic()

    with pytest.raises(TransientError) as caught:
        made.start(CANARY, STAMP)

    assert caught.value.reason == Reason.TIMEOUT
    assert time.monotonic() - began < 5
    assert made.status(CANARY, STAMP).phase is Phase.UNKNOWN
    wait_for(lambda: gone(int(child.read_text())), seconds=5, what="the child's end")


def gone(pid: int) -> bool:
    """Say whether a process has ended, be it that nobody has asked for its status."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_a_worker_killed_while_it_ran(tmp_path: Path) -> None:
    """The mark stands before the program runs: the next worker cannot tell how it ended."""
    made = rollout(tmp_path, script(tmp_path, "restart", ""))
    made.start(CANARY, STAMP)
    (mark,) = tmp_path.glob("*.wave")
    mark.write_text("begun")

    asked = made.status(CANARY, STAMP).phase
    made.start(CANARY, STAMP)

    assert asked is Phase.UNKNOWN
    assert ran(tmp_path, "restart") == 2
    assert made.status(CANARY, STAMP).phase is Phase.DONE


@pytest.mark.parametrize(
    ("code", "phase"),
    [
        pytest.param(0, Phase.DONE, id="done"),
        pytest.param(75, Phase.RUNNING, id="running"),
        pytest.param(1, Phase.FAILED, id="failed"),
    ],
)
def test_a_status_program_decides(tmp_path: Path, code: int, phase: Phase) -> None:
    """It is asked once the wave was begun, not before."""
    status = script(tmp_path, "status", f"sys.exit({code})")
    made = rollout(
        tmp_path, script(tmp_path, "restart", ""), f"status_command: {json.dumps(status)}"
    )
    before = made.status(CANARY, STAMP).phase
    asked = ran(tmp_path, "status")
    made.start(CANARY, STAMP)

    assert (before, asked) == (Phase.ABSENT, 0)
    assert made.status(CANARY, STAMP).phase is phase


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        pytest.param("/nowhere/restart", Reason.NOT_FOUND, id="absent"),
        pytest.param("/etc/passwd", Reason.DENIED, id="not-executable"),
        pytest.param("a\0b", Reason.NOT_FOUND, id="no-name-at-all"),
    ],
)
def test_what_cannot_be_started(tmp_path: Path, program: str, reason: Reason) -> None:
    """Nothing ran, so the wave is absent and may be tried when it is mended."""
    made = rollout(tmp_path, [program])

    with pytest.raises(PermanentError) as caught:
        made.start(CANARY, STAMP)

    assert caught.value.reason == reason
    assert made.status(CANARY, STAMP).phase is Phase.ABSENT


def test_a_state_that_is_not_there(tmp_path: Path) -> None:
    """Without a place to write it down, nothing is begun."""
    made = rollout(tmp_path / "none", script(tmp_path, "restart", ""))

    with pytest.raises(PermanentError) as caught:
        made.start(CANARY, STAMP)

    assert caught.value.reason == Reason.DENIED
    assert ran(tmp_path, "restart") == 0


def test_a_state_that_is_not_ours(tmp_path: Path) -> None:
    """What the file says must be one of our words."""
    made = rollout(tmp_path, ["true"])
    made.start(CANARY, STAMP)
    (mark,) = tmp_path.glob("*.wave")
    mark.write_text("?")

    with pytest.raises(PermanentError) as caught:
        made.status(CANARY, STAMP)

    assert caught.value.reason == Reason.INVALID


def test_the_configuration_is_strict() -> None:
    """A text is no argument list, and what takes long is not waited for."""
    with pytest.raises(DocumentError) as caught:
        configured("type: command\ncommand: restart all\ntimeout: 10m\nwaves: []\n")

    assert sorted(caught.value.problems) == [
        'hooks.yml:1: field "command" must be a list: the program, then its arguments',
        'hooks.yml:1: field "state_dir" is missing: a folder that outlives the process',
        'hooks.yml:2: field "command" must be a list',
        LONG,
        'hooks.yml:4: "waves" is empty: leave it out, or name the canary first',
    ]
    with pytest.raises(DocumentError, match="each wave needs a name of its own"):
        configured("{type: command, command: [a], state_dir: ., waves: [a, a]}")


def test_none() -> None:
    """Where applications read the store by themselves, there is nothing to do."""
    made = configured("{type: none}")
    made.start((), STAMP)

    assert made.waves() == ()
    assert made.status((), STAMP).phase is Phase.DONE
