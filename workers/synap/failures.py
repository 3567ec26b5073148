"""The tally of one trouble: how many ingestions failed, since when, which; values, no I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

from workers.alert import Alert

COUNTED: Final = 10_000
"""Events that a tally counts by their key, so that one that runs twice adds nothing."""

DOCUMENTS: Final = 20
CORRELATIONS: Final = 10


class Tally(NamedTuple):
    """What failed under one alert; times are Unix seconds, the lists are bounded samples.

    `over_at` is when the trouble counts as over. `counted` is exact up to `COUNTED`.
    """

    id: str
    over_at: float
    alert: Alert
    counted: int
    first: float
    last: float
    documents: tuple[str, ...]
    correlations: tuple[str, ...]
