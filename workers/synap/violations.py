"""What follows from a judgement: which of the guard's alerts end, and how to go back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from workers.alert import Alert
from workers.synap.guard import Judgement
from workers.synap.records import Record, Remembered

ALERTNAME: Final = "SynapConfigViolation"
RULE: Final = "rule"

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Target(NamedTuple):
    """The version to go back to; `proven` says that it was good before, and not only before it."""

    config_id: str
    named: str
    proven: bool


def closing(
    alerts: Iterable[Alert], judgement: Judgement, *, fired: Collection[str], at: float
) -> tuple[Alert, ...]:
    """Return the ends of the alerts whose violation is gone at `at` (Unix seconds).

    Args:
        alerts: the guard's alerts that were seen firing.
        judgement: what the rules say now; a rule that could not be checked ends nothing.
        fired: the fingerprints of the alerts that fire now.
        at: when the configuration that was judged became active.
    """
    unknown = {skipped.rule for skipped in judgement.skipped}
    return tuple(
        replace(alert, ends_at=max(at, alert.starts_at), updated_at=max(at, alert.updated_at))
        for alert in alerts
        if alert.labels.get(RULE) not in unknown and alert.fingerprint not in fired
    )


def target(
    remembered: Remembered, record: Record, *, now: float, good_after: float
) -> Target | None:
    """Return what to go back to from a configuration: the last good one, else the one before."""
    good = remembered.last_good(now=now, good_after=good_after, but=record.config_id)
    if good is not None:
        return Target(good.config_id, good.named, proven=True)
    if record.previous and record.previous != record.config_id:
        return Target(record.previous, record.previous, proven=False)
    return None


def rollback_command(instance_id: str, config_id: str) -> str:
    """Return the command that goes back; empty where an id is none that belongs in a shell."""
    if not _IDENTIFIER.fullmatch(instance_id) or not _IDENTIFIER.fullmatch(config_id):
        return ""
    return f"synap-hooks maca rollback {instance_id} --to {config_id}"
