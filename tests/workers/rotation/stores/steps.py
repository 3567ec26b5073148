"""What the tests of stores have in common: the values, the steps of a rotation, the place."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from uuid import NAMESPACE_URL, uuid5

from workers.document import parse
from workers.rotation import stores
from workers.rotation.adapters import load
from workers.rotation.errors import (
    PortError,
)
from workers.rotation.fingerprint import Peppered, Secret
from workers.rotation.ports import Pair, Slot, Store

OLD, NEW, THIRD, NEWER = (
    f"synap_{name * 15}" for name in ("0ldK", "n3wK", "th1d", "n3wR")
)  # 60 letters and digits behind the prefix, as Synap's keys have
FINGERPRINT = Peppered(lambda: b"a pepper for tests")
SHOWN = [OLD, NEW, THIRD, NEWER]

Step = Callable[[Store], None]


def pair(old: str = OLD, new: str = NEW) -> Pair:
    """Return the two values between which a test's rotation moves."""
    return Pair(FINGERPRINT(Secret(old)), FINGERPRINT(Secret(new)), FINGERPRINT)


def token(step: str) -> str:
    """Return the token of a step: always the same."""
    return str(uuid5(NAMESPACE_URL, step))


def check(store: Store) -> None:
    """See that the place may be written to."""
    store.check()


def put(store: Store, new: str = NEW, old: str = OLD) -> None:
    """Put the new value where nobody reads it."""
    store.put_pending(Secret(new), pair(old, new), token(f"put {new}"))


def promote(store: Store, new: str = NEW, old: str = OLD) -> None:
    """Make the new value current."""
    store.promote(pair(old, new), token(f"promote {new}"))


def roll_back(store: Store) -> None:
    """Make the old value current again."""
    store.roll_back(pair(), token("roll back"))


def drop(store: Store) -> None:
    """Remove the new value from the pending slot."""
    store.drop_pending(pair(), token("drop"))


def clean(store: Store) -> None:
    """Remove what the rotation left."""
    store.clean_up(pair(), token("clean"))


def text(slot: Slot | None) -> str | None:
    """Return what a slot holds."""
    return slot and slot.value.reveal()


def holds(store: Store) -> tuple[str | None, str | None]:
    """Return what is current and what is pending."""
    return text(store.read_current()), text(store.read_pending())


def configured(entry: str, base: Path = Path("/nowhere")) -> Store:
    """Return a store as its entry in a configuration describes it."""
    section = parse(entry, file="hooks.yml", base=base)
    made: Store | None = load(stores.STORES, section, "store")
    section.findings.raise_if_any()
    assert made is not None
    return made


def secrets() -> list[str]:
    """Return every key, also as it may lie in a wire's text."""
    return [*SHOWN, *(base64.b64encode(key.encode()).decode() for key in SHOWN)]


class Place(Protocol):
    """Where a store keeps its values, seen from outside."""

    def store(self) -> Store:
        """Return the store, as a process of its own would have it."""
        ...

    def set_current(self, value: str) -> None:
        """Write the current value, as somebody else would."""
        ...

    def set_pending(self, value: str) -> None:
        """Write the pending value, as somebody else would."""
        ...

    def empty(self) -> Store:
        """Return a store whose place holds nothing."""
        ...

    def denied(self) -> Store:
        """Return a store that is not allowed to read its place."""
        ...

    def unreachable(self) -> Store:
        """Return a store of which nothing answers."""
        ...


def complaint(step: Step, store: Store) -> list[str]:
    """Return what a failing step shows of itself, traceback included."""
    try:
        step(store)
    except PortError as error:
        return ["".join(traceback.format_exception(error)) + repr(error)]
    return []


def reason_of(call: Callable[[], object]) -> str:
    """Return why a call fails; empty if it does not."""
    try:
        call()
    except PortError as error:
        return error.reason
    return ""
