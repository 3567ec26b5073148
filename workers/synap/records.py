"""What is remembered of an instance's configurations between events; values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from workers.alert import Alert
from workers.synap.answers import Configuration
from workers.synap.difference import Change
from workers.synap.guard import Judgement


class Record(NamedTuple):
    """A configuration that became active; `at` is Unix seconds, what is not known is empty.

    `clean` says that it was read and no rule fired.
    """

    config_id: str
    at: float
    version: str = ""
    by: str = ""
    mode: str = ""
    reason: str = ""
    previous: str = ""
    clean: bool = False

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        return orjson.dumps(self._asdict())

    @classmethod
    def from_wire(cls, wire: bytes) -> Record:
        """Read the stored JSON form; unknown fields of a newer release are ignored."""
        stored: dict[str, Any] = orjson.loads(wire)
        return cls(**{name: stored[name] for name in cls._fields if name in stored})

    @property
    def named(self) -> str:
        """The id with its version, as a person reads it."""
        return f"{self.config_id} (v{self.version})" if self.version else self.config_id


class Pin(NamedTuple):
    """The version that a person expects to be active; `at` is Unix seconds."""

    config_id: str
    by: str
    at: float


class Remembered(NamedTuple):
    """All that is remembered of one instance.

    `current` became active last, `good` is the last one that proved good before it. `alerts` are
    the guard's alerts that were last seen firing, by fingerprint.
    """

    current: Record | None = None
    good: Record | None = None
    pin: Pin | None = None
    alerts: Mapping[str, Alert] = {}

    def last_good(self, *, now: float, good_after: float, but: str = "") -> Record | None:
        """Return the last version that proved good, other than `but`.

        The current one counts once it has been active, and clean, for `good_after` seconds.
        """
        current = self.current
        proven = current is not None and current.clean and now - current.at >= good_after
        candidates = (current if proven else None, self.good)
        return next((one for one in candidates if one and one.config_id != but), None)


class Question(NamedTuple):
    """What an event says of a configuration that became active; what it does not say is empty."""

    instance_id: str
    config_id: str
    previous: str
    mode: str
    at: float


class Inspection(NamedTuple):
    """What was found out about a configuration; what could not be is None, and in `missed`."""

    judgement: Judgement
    remembered: Remembered = Remembered()
    applied: Configuration | None = None
    before: Configuration | None = None
    changes: tuple[Change, ...] | None = None
    previous: str = ""
    good_after: float = 0.0
    missed: tuple[str, ...] = ()


class Known(NamedTuple):
    """The active configuration of an instance, or why it is not known."""

    active: Configuration | None = None
    why: str = ""
