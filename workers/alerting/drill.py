"""A drill: a harmless alert for one receiver, through everything that a real one goes through.

Its group stands in no tree, so that any receiver can be tried, and ends by itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from workers.alert import Alert
from workers.alerting.groups import GroupRef, describe

ALERTNAME: Final = "SynapHooksDrill"
SLOT: Final = "drill:"
"""How the slots of drills begin; no configuration knows them, so none takes them away."""

INTERVAL: Final = 1.0
REPEAT: Final = 86_400.0
ENDS_AFTER: Final = 300.0
"""Seconds after which a drill is over even if nobody ends it."""


class Drill(NamedTuple):
    """A drill's alert and the group in which it goes out."""

    group: GroupRef
    alert: Alert

    def over(self, now: float) -> Alert:
        """Return the alert as it ends at `now` (Unix seconds)."""
        begun = self.alert
        return Alert(
            labels=begun.labels,
            annotations=begun.annotations,
            starts_at=begun.starts_at,
            updated_at=max(now, begun.updated_at),
            ends_at=now,
        )


def drill(receiver: str, ident: str, *, actor: str, severity: str, now: float) -> Drill:
    """Return a drill of one receiver.

    Args:
        receiver: who is to be told.
        ident: what tells this drill from others.
        actor: who asked for it.
        severity: the alert's label.
        now: Unix seconds.
    """
    labels = {
        "alertname": ALERTNAME,
        "severity": severity,
        "event_type": "service",
        "receiver": receiver,
        "drill": ident,
    }
    annotations = {
        "summary": f"Drill by {actor}: can {receiver} be told? Nothing is wrong.",
        "description": (
            f"{actor} tries whether notifications for {receiver} arrive. "
            "Why it matters: a page that does not arrive is found out now and not at night. "
            "What to do: nothing; it ends by itself within minutes."
        ),
        "runbook": f"README.md#{ALERTNAME.lower()}",
    }
    alert = Alert(
        labels=labels,
        annotations=annotations,
        starts_at=now,
        updated_at=now,
        ends_at=now + ENDS_AFTER,
        timeout=True,
    )
    named = {"alertname": ALERTNAME, "drill": ident}
    options = {
        "receiver": receiver,
        "group_interval": INTERVAL,
        "repeat_interval": REPEAT,
        "labels": {},
    }
    key = f'{{drill="{ident}"}}:{{receiver="{receiver}"}}'
    return Drill(describe(f"{SLOT}{receiver}#{ident}", key, named, options), alert)
