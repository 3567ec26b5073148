"""How often a target may be called: one bucket of tokens per account, shared by all workers.

The buckets themselves are in Redis (`claim.lua`). A call that finds none takes the next place in
line; when the line is longer than `FOLD_SECONDS`, what is new goes into a summary instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

FOLD_SECONDS: Final = 60.0
"""Seconds that new trouble waits for its call; beyond, it is told in a summary."""

_FORM: Final = re.compile(r"([0-9]{1,6})/([smh])")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Rate(NamedTuple):
    """Calls per second in the long run, and how many may come at once."""

    per_second: float
    burst: int

    @property
    def interval(self) -> float:
        """Seconds between two calls in the long run."""
        return 1.0 / self.per_second


ANY: Final = Rate(10.0, 50)

RATES: Final[Mapping[str, Rate]] = {
    "pagerduty": Rate(1.0, 30),
    "opsgenie": Rate(2.0, 30),
    "slack": Rate(1.0, 5),
    "msteams": Rate(4.0, 8),
    "email": Rate(1.0, 20),
    "apprise": Rate(1.0, 10),
    "datadog": Rate(10.0, 50),
    "sns": Rate(30.0, 100),
    "cloudwatch": Rate(50.0, 100),
    "eventbridge": Rate(100.0, 200),
    "alertmanager": Rate(100.0, 200),
    "webhook": Rate(100.0, 200),
}
"""What each type of target takes as far as is known, with room to spare; others get `ANY`."""


def rate_of(kind: str, limit: Rate | None = None) -> Rate:
    """Return the rate that holds for a type of target, unless a limit is configured."""
    return limit or RATES.get(kind, ANY)


def parse_rate(text: str, burst: int = 0) -> Rate | None:
    """Return the rate of `60/m`, `1/s` or `500/h`; None if it is none.

    Without a burst as many calls as there are in ten seconds may come at once.
    """
    form = _FORM.fullmatch(text.replace(" ", ""))
    if form is None or int(form[1]) == 0:
        return None
    per_second = int(form[1]) / _SECONDS[form[2]]
    return Rate(per_second, burst or max(1, round(per_second * 10)))
