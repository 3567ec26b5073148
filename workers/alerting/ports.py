"""What the pipeline asks of its neighbours: who is silenced, who took it, and who remembers.

Silences are read once for the flushes of a job, the others once for each flush, with the one `now`
(Unix seconds) that holds there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

Muting: TypeAlias = Callable[[Mapping[str, str]], str | None]
"""Labels of an alert in, the id of a silence that mutes it out; None if none does. Pure."""


class Silences(Protocol):
    """Who may not be heard now."""

    def in_force(self, now: float) -> Muting:
        """Return what mutes at `now`; read once, asked for each alert."""
        ...


class Acknowledgement(NamedTuple):
    """Somebody took a group's trouble on; `until` is when that lapses, None for never.

    `id` changes with each acknowledgement, so that one is passed on to targets once.
    """

    id: str
    author: str
    at: float
    until: float | None


class Acknowledgements(Protocol):
    """Who has taken a group on: until it lapses, repeats are held back."""

    def of(self, gid: str, now: float) -> Acknowledgement | None:
        """Return what holds for a group (its id as in `GroupRef.id`) at `now`."""
        ...


class Decision(StrEnum):
    """What was decided for one integration, or became of it."""

    QUEUED = "queued"
    """To be told; TOLD, FAILED or RETRIED follow."""
    TOLD = "told"
    """Accepted by the target."""
    RETRIED = "retried"
    """An attempt failed; it will be tried again. Recorded for the first attempt only."""
    FAILED = "failed"
    """Failed for good; `reasons` says why."""
    FELL_BACK = "fell_back"
    """Handed to the fallback receiver, which `reasons` names."""
    FOLDED = "folded"
    """Over the target's rate: its alerts go into a summary."""
    UNCHANGED = "unchanged"
    """Nothing new, and not yet time to repeat."""
    ACKNOWLEDGED = "acknowledged"
    """A repeat was held back because somebody took it on."""
    UNWANTED = "unwanted"
    """Only ends were to be told, and the integration wants none."""
    FILTERED = "filtered"
    """Every alert was inhibited or silenced; each alert says by what."""
    MUTED = "muted"
    """The time is one at which the route does not notify; `reasons` names the intervals."""


class Seen(NamedTuple):
    """An alert as a flush saw it; `reason` says what held it back, empty if nothing did.

    Reasons are `inhibited by rule at line N` and `silenced by <id>`.
    """

    fingerprint: str
    labels: Mapping[str, str]
    starts_at: float
    resolved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decision about one group; `at` is Unix seconds. Holds labels, never annotations.

    `route` is the route's slot, `integration` its type and place (`pagerduty/0`), empty where the
    receiver has none. `why` is `notification.Why`'s text for what is told. At most
    `notification.MAX_ALERTS` alerts are listed.
    """

    at: float
    gid: str
    group_key: str
    route: str
    receiver: str
    integration: str
    decision: Decision
    why: str = ""
    reasons: tuple[str, ...] = ()
    alerts: tuple[Seen, ...] = ()


class History(Protocol):
    """Remembers decisions; a failure to do so never stops a flush."""

    def record(self, records: Sequence[Record]) -> None:
        """Keep these records of one flush or attempt.

        A flush that decides exactly as the one before it of the same group is not recorded again.
        """
        ...
