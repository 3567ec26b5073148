"""How an alert stands in its group, and how that is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from workers.alerting.acknowledgements import AcknowledgementBook
from workers.alerting.listing import AlertListing, AlertRow
from workers.alerting.matchers import Matcher
from workers.alerting.ports import Acknowledgement
from workers.alerting.silence_book import SilenceBook
from workers.cli.output import iso, stamp
from workers.cli.session import Session

HEAD: Final = ("ALERT", "SEVERITY", "STATE", "SINCE", "INSTANCE", "RECEIVER", "TOLD", "ID", "GROUP")
SHORT: Final = 12
STATES: Final = ("firing", "silenced", "acknowledged", "resolved")


class Standing(NamedTuple):
    """An alert in a group, and what holds it back or who took it on."""

    row: AlertRow
    silenced_by: str | None
    taken: Acknowledgement | None
    now: float

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.row.alert.resolved(self.now):
            return "resolved"
        if self.silenced_by:
            return "silenced"
        return "acknowledged" if self.taken else "firing"


def standing(session: Session, wanted: Sequence[Matcher] = ()) -> Iterator[Standing]:
    """Yield the alerts that all of the matchers match, each in each of its groups."""
    prefix = session.keys.prefix
    rows = list(AlertListing(session.redis, prefix).alerts())
    muting = SilenceBook(session.redis, prefix).in_force(session.now)
    gids = list(dict.fromkeys(row.group.gid for row in rows))
    book = AcknowledgementBook(session.redis, prefix)
    taken = dict(zip(gids, book.of_all(gids, session.now), strict=True))
    for row in rows:
        if all(matcher.matches(row.alert.labels) for matcher in wanted):
            yield Standing(row, muting(row.alert.labels), taken[row.group.gid], session.now)


def shape(one: Standing) -> dict[str, Any]:
    """Return the documented JSON form of an alert in a group."""
    alert, group = one.row
    return {
        "id": alert.fingerprint,
        "state": one.state,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": iso(alert.starts_at),
        "ends_at": iso(alert.ends_at),
        "silenced_by": one.silenced_by,
        "acknowledged_by": one.taken.author if one.taken else None,
        "acknowledged_until": iso(one.taken.until) if one.taken else None,
        "group": {
            "id": group.gid,
            "key": group.key,
            "receiver": group.receiver,
            "next_flush": iso(group.next_at),
            "told": {target: iso(at) for target, at in told(one.row).items()},
        },
    }


def told(row: AlertRow) -> dict[str, float]:
    """Return when each target was last told of the alert (Unix seconds), by target."""
    return {
        target: entry.at
        for target, entry in sorted(row.group.told.items())
        if row.alert.fingerprint in entry.firing | entry.resolved
    }


def cells(one: Standing) -> tuple[str, ...]:
    """Return the row of a table under `HEAD`."""
    alert, group = one.row
    labels = alert.labels
    return (
        alert.name,
        labels.get("severity", ""),
        one.state,
        stamp(alert.starts_at, one.now),
        labels.get("instance_id", ""),
        group.receiver,
        " ".join(target.rsplit("/", 2)[1] for target in told(one.row)),
        alert.fingerprint,
        group.gid[:SHORT],
    )
