"""A copy and a witness in the fake world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.workers.rotation.world import OLD, World
from workers.rotation.fingerprint import Secret, shown
from workers.rotation.ports import Side, Slot

WORKLOADS: Final = ("canary", "api", "worker")


@dataclass(frozen=True, slots=True)
class FakeCopy:
    """A copy of the store `main`; it is filled when it is asked with a mark that is new."""

    world: World
    name: str = "fake copy"

    def fill(self, value: str = OLD) -> None:
        """Fill it as whatever keeps it does."""
        with self.world.change() as state:
            state["copy"] = {"value": value, "marks": []}

    def read(self) -> Slot | None:
        """Return what it holds."""
        with self.world.change("read_copy") as state:
            value = state["copy"].get("value")
        return Slot(Secret(value), "1") if value else None

    def ask(self, mark: str) -> None:
        """Look at the store, if the mark is new; the fault `copy` keeps it as it is."""
        with self.world.change("ask") as state:
            copy = state["copy"]
            if mark not in copy["marks"][-1:]:
                copy["marks"].append(mark)
                if "copy" not in state["faults"]:
                    copy["value"] = state["stores"]["main"]["current"]


@dataclass(frozen=True, slots=True)
class FakeWitness:
    """Asks the workloads of the rollout; one that was never restarted uses the first key."""

    world: World

    def ask(self, new: str, old: str) -> Mapping[str, Side]:
        """Return what each shows; the fault `silent` keeps one from answering."""
        with self.world.change("attest") as state:
            keys = {name: state["workloads"].get(name, {}).get("reads", OLD) for name in WORKLOADS}
            said = {name: self._side(key, new, old) for name, key in keys.items()}
            if "silent" in state["faults"]:
                said["api"] = Side.THIRD
        return said

    def _side(self, key: str, new: str, old: str) -> Side:
        return {new: Side.NEW, old: Side.OLD}.get(shown(Secret(key)), Side.THIRD)
