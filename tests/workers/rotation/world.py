"""A world for rotations: Synap, an issuer, stores and workloads in one file on disk.

It lives in a file so that it survives the process that acts on it, which may be killed after any
of its calls. It keeps the books that the laws of rotation are checked against.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from workers.rotation.errors import PermanentError, Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import (
    Dead,
    Found,
    Issued,
    Live,
    Phase,
    Progress,
    Stamp,
    Unclear,
    Verdict,
)

CLIENT: Final = "cli_0123456789abcdef"
INSTANCE: Final = "inst_0123456789abcdef"
OLD: Final = "synap_" + "OldCanary" * 6 + "abcdef"
NEW: Final = "synap_" + "NewCanary" * 6 + "abcdef"


@dataclass(slots=True)
class World:
    """The world in its file; `kill_at` is the number of the call after which the process dies.

    A fault, which `spoil` sets and `mend` takes away, makes a call fail for as long as it is there.
    """

    path: Path
    kill_at: int = 0

    def __post_init__(self) -> None:
        if not self.path.exists():
            self._write(
                {"keys": {}, "stores": {}, "workloads": {}, "calls": [], "most_live": 0, "now": 0.0,
                 "revoked_at": {}, "answers": {}, "made": 0, "issued": {}, "faults": [],
                 "turned": 0, "copy": {}}
            )  # fmt: skip

    @contextmanager
    def change(self, call: str = "") -> Iterator[dict[str, Any]]:
        """Change the world; a named change is an external call, after which a process may die."""
        state = self.read()
        try:
            yield state
        finally:  # a call that fails is a call as well
            if call:
                state["calls"].append(call)
            live = sum(key["alive"] for key in state["keys"].values())
            state["most_live"] = max(state["most_live"], live)
            self._write(state)
            if call and self.kill_at and len(state["calls"]) == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def read(self) -> dict[str, Any]:
        """Return the world as it is."""
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def _write(self, state: dict[str, Any]) -> None:
        """Write in place, padded: a rename waits for the disk, and nobody is killed in here."""
        text = json.dumps(state).encode()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.write(file, text.ljust(os.fstat(file).st_size))
        os.close(file)

    def add_key(
        self, value: str, *, key_id: str, name: str = "", instance_id: str = INSTANCE
    ) -> None:
        """Make a key at Synap."""
        with self.change() as state:
            state["keys"][value] = {
                "id": key_id, "name": name, "alive": True, "instance_id": instance_id,
            }  # fmt: skip

    def kill_key(self, value: str) -> None:
        """Revoke a key at Synap, as a person does in the Dashboard."""
        with self.change() as state:
            state["keys"][value]["alive"] = False
            state["revoked_at"][value] = state["now"]

    def answer(self, value: str, *answers: str) -> None:
        """Queue what whoami answers for a key before the truth: 401, 402, 403, 429, 500, other."""
        with self.change() as state:
            state["answers"].setdefault(value, []).extend(answers)

    def spoil(self, *faults: str) -> None:
        """Let calls fail."""
        with self.change() as state:
            state["faults"] += faults

    def mend(self) -> None:
        """Let every call work again."""
        with self.change() as state:
            state["faults"] = []

    def spoiled(self, fault: str) -> bool:
        """Say whether a call is to fail."""
        return fault in self.read()["faults"]

    def set_time(self, now: float) -> None:
        """Let the world know the time, for its books."""
        with self.change() as state:
            state["now"] = now


@dataclass(frozen=True, slots=True)
class FakeSynap:
    """Answers whoami."""

    world: World

    def whoami(self, key: Secret) -> Verdict:
        """Return what is queued for the key, else the truth."""
        with self.world.change("whoami") as state:
            queued = state["answers"].get(key.reveal(), [])
            if not queued and key.reveal() != OLD:
                queued = state["answers"].get("new", [])
            said = queued.pop(0) if queued else ""
            found = state["keys"].get(key.reveal())
        special: dict[str, Verdict] = {
            "401": Dead("CREDENTIAL_INVALID"),
            "402": Live("", "", credits=False),
            "403": Unclear(Reason.FORBIDDEN, final=True),
            "429": Unclear(Reason.RATE_LIMITED, after=7.0),
            "500": Unclear(Reason.SERVER_ERROR),
            "other": Live(CLIENT, "inst_ffffffffffffffff"),
        }
        if said:
            return special[said]
        if found is None or not found["alive"]:
            return Dead("CREDENTIAL_INVALID")
        return Live(CLIENT, found["instance_id"])


@dataclass(frozen=True, slots=True)
class FakeIssuer:
    """Makes keys; a real one shows a key's value only once.

    `counted` False: its calls are counted where they are made, in another process.
    """

    world: World
    counted: bool = True

    def issue(self, name: str, token: str) -> Issued:
        """Make a key; the same token gives the same answer."""
        with self._call("issue") as state:
            if token in state["issued"]:
                key_id, value = state["issued"][token]
                return Issued(key_id, Secret(value))
            state["made"] += 1
            suffix = f"{state['made']:04d}{token.replace('-', '')[:12]}"
            value = "synap_" + ("NewCanary" * 5) + suffix
            key_id = f"key_{suffix}"
            state["keys"][value] = {
                "id": key_id, "name": name, "alive": True, "instance_id": INSTANCE,
            }  # fmt: skip
            state["issued"][token] = (key_id, value)
        return Issued(key_id, Secret(value))

    def find(self, name: str) -> Sequence[Found]:
        """Return the live keys of this name."""
        with self._call("find") as state:
            keys = list(state["keys"].values())
        return [Found(key["id"], key["name"]) for key in keys
                if key["alive"] and key["name"] == name]  # fmt: skip

    def revoke(self, key_id: str, token: str) -> None:
        """Revoke a key; one that is gone is success."""
        del token
        with self._call("revoke") as state:
            if f"revoke {'old' if key_id == 'key_old' else 'new'}" in state["faults"]:
                raise PermanentError(Reason.DENIED, "this key is not revoked")
            for value, key in state["keys"].items():
                if key["id"] == key_id and key["alive"]:
                    key["alive"] = False
                    state["revoked_at"][value] = state["now"]

    def _call(self, name: str) -> AbstractContextManager[dict[str, Any]]:
        return self.world.change(name if self.counted else "")


@dataclass(frozen=True, slots=True)
class FakeRollout:
    """Workloads that are ready as soon as they are restarted.

    The fault `rollout` lets them fail; `forgetful` makes it a command that restarts whenever it is
    called, and of which nobody knows whether it was.
    """

    world: World
    names: tuple[tuple[str, ...], ...] = (("canary",), ("api", "worker"))

    def waves(self) -> Sequence[tuple[str, ...]]:
        """Return the waves."""
        return self.names

    def status(self, wave: tuple[str, ...], stamp: Stamp) -> Progress:
        """Return DONE when each has the stamp."""
        with self.world.change("status") as state:
            found = [state["workloads"].get(name, {}) for name in wave]
            forced = state["answers"].get(wave[0], [])
            said = forced.pop(0) if forced else ""
            if "rollout" in state["faults"] and found[0].get("stamp") == stamp.rotation:
                said = "" if stamp.rotation.endswith("-rb") else "failed"
        if said:
            return Progress(Phase(said), f"{wave[0]} is {said}")
        if all(one.get("stamp") == stamp.rotation for one in found):
            return Progress(Phase.DONE)
        return Progress(Phase.UNKNOWN if "forgetful" in state["faults"] else Phase.ABSENT)

    def start(self, wave: tuple[str, ...], stamp: Stamp) -> None:
        """Restart what does not have the stamp, or everything."""
        for name in wave:
            with self.world.change("start") as state:
                found = state["workloads"].setdefault(name, {"stamps": []})
                if found.get("stamp") != stamp.rotation or "forgetful" in state["faults"]:
                    found["stamp"] = stamp.rotation
                    found["stamps"].append(stamp.rotation)
                    found["reads"] = read(state)


def read(state: Mapping[str, Any]) -> str:
    """Return the key that a workload gets which starts now: from the copy, if there is one."""
    found: str = state["copy"].get("value") or state["stores"]["main"]["current"]
    return found
