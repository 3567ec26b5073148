"""A store in the fake world."""

from __future__ import annotations

from dataclasses import dataclass

from tests.workers.rotation.world import World
from workers.rotation.errors import (
    PermanentError,
    PortError,
    Reason,
    RefusedError,
    ThirdWriterError,
)
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot


@dataclass(frozen=True, slots=True)
class FakeStore:
    """A store with compare-and-set.

    `lies` makes it answer that it wrote what it did not, `broken` fail whenever it should write.
    """

    world: World
    place: str = "main"
    lies: bool = False
    broken: PortError | None = None

    @property
    def name(self) -> str:
        """Return kind and place."""
        return f"fake:{self.place}"

    def fill(self, value: str) -> None:
        """Put a current value there, as somebody else does."""
        with self.world.change() as state:
            state["stores"].setdefault(self.place, {})["current"] = value

    def held(self, slot: str = "current") -> str | None:
        """Return what a slot holds."""
        found: str | None = self.world.read()["stores"].get(self.place, {}).get(slot)
        return found

    def check(self) -> None:
        """Refuse if it is told to."""
        with self.world.change("check") as state:
            if "check" in state["faults"]:
                raise RefusedError(Reason.IMMUTABLE, f"{self.name} cannot be changed")

    def read_current(self) -> Slot | None:
        """Return the current value."""
        return self._read("current")

    def read_pending(self) -> Slot | None:
        """Return the pending value."""
        return self._read("pending")

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the old value."""
        with self.world.change("read_previous"):
            pass
        for slot in ("current", "previous"):
            found = self._slot(slot)
            if found is not None and pair.judge(found.value) is Side.OLD:
                return found
        return None

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Write the pending slot."""
        del token
        self._known(pair)
        pending = self._side("pending", pair)
        if pending is Side.THIRD:
            raise ThirdWriterError(f"{self.name}: another key waits")
        if pending is not Side.NEW:
            self._write("put_pending", pending=value.reveal())

    def promote(self, pair: Pair, token: str) -> None:
        """Move pending to current, current to previous."""
        del token
        if self._known(pair) is Side.OLD:
            if self._side("pending", pair) is not Side.NEW:
                raise PermanentError(Reason.KEY_LOST, "nothing waits")
            old, new = self.held(), self.held("pending")
            self._write("promote", current=new, previous=old, pending=None)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Move previous to current."""
        del token
        if self._known(pair) is Side.NEW:
            if self._side("previous", pair) is not Side.OLD:
                raise PermanentError(Reason.KEY_LOST, "the old key is not kept")
            self._write("roll_back", current=self.held("previous"))

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Empty the pending slot if it is ours."""
        del token
        if self._side("pending", pair) is Side.NEW:
            self._write("drop_pending", pending=None)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Empty what is not current."""
        del pair, token
        self._write("clean_up", pending=None, previous=None)

    def _side(self, slot: str, pair: Pair) -> Side | None:
        found = self._slot(slot)
        return None if found is None else pair.judge(found.value)

    def _known(self, pair: Pair) -> Side | None:
        """Return whose the current value is; a third writer's is refused."""
        side = self._side("current", pair)
        if side is Side.THIRD:
            raise ThirdWriterError(f"{self.name}: somebody else wrote")
        return side

    def _read(self, slot: str) -> Slot | None:
        with self.world.change(f"read_{slot}"):
            return self._slot(slot)

    def _slot(self, slot: str) -> Slot | None:
        value = self.held(slot)
        return Slot(Secret(value), "1") if value else None

    def _write(self, call: str, **slots: str | None) -> None:
        if self.broken is not None:
            raise self.broken
        with self.world.change(call) as state:
            if call in state["faults"]:
                raise PermanentError(Reason.DENIED, f"{self.name}: {call} is denied")
            if not self.lies:
                state["stores"].setdefault(self.place, {}).update(slots)
