"""Target `eventbridge`: PutEvents, an entry for each alert.

A 200 may still hold refusals: those that may pass are sent again, alone. EventBridge knows no
identity, so each entry carries an `id` of its own, by which a consumer can tell a repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification, cut_bytes
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.aws import Account, ask, judge, read_account
from workers.alerting.notifiers.steps import Progress, short
from workers.alerting.wording import iso
from workers.outbound import Permanent, Reason, Retry, Verdict
from workers.section import Section

SOURCE: Final = "synap-hooks"
BUS: Final = "default"
MAX_ENTRIES: Final = 10
MAX_BYTES: Final = 250_000
"""Bytes of a call's entries together: below the 256 KB that every account may send."""
DETAIL_BYTES: Final = 35_000
"""Bytes of labels and notes of an entry; escaped as JSON they may grow sixfold."""
NOTE_BYTES: Final = 2000


class Entry(NamedTuple):
    """One entry and the id by which it is known."""

    id: str
    request: dict[str, str]

    @property
    def size(self) -> int:
        """How many bytes it counts, with a little room."""
        return sum(len(value.encode()) for value in self.request.values()) + 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Eventbridge:
    """Puts alerts on an event bus."""

    account_: Account
    bus: str = BUS
    source: str = SOURCE
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    idempotent: ClassVar[bool] = False

    @property
    def account(self) -> str:
        """What shares a rate: the region and its bus."""
        return f"{self.account_.region} {self.bus} {self.account_.endpoint_url}"

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Put every alert that was not accepted yet, at most ten in a call."""
        progress = Progress(call)
        left = [one for one in self.entries(notification) if not progress.has(one.id)]
        for batch in batches(left):
            verdict = progress.late() or self._put(batch, progress, call)
            if isinstance(verdict, Retry):
                return progress.wait(verdict)
        return progress.end(left[0].id if left else "")

    def entries(self, notification: Notification) -> list[Entry]:
        """Return an entry for each alert."""
        return [self._entry(notification, alert) for alert in notification.alerts]

    def _entry(self, notification: Notification, alert: Alert) -> Entry:
        about = detail(notification, alert)
        request = {
            "EventBusName": self.bus,
            "Source": self.source,
            "DetailType": f"Alert {about['status']}",
            "Detail": orjson.dumps(about).decode(),
        }
        return Entry(about["id"], request)

    def _put(self, batch: Sequence[Entry], progress: Progress, call: Call) -> Retry | None:
        """Put one batch; return why to wait if any entry has to."""
        requests = [one.request for one in batch]
        answer = ask(
            lambda: self.account_.client("events", call.outbound).put_events(Entries=requests),
            call.now,
        )
        if isinstance(answer, Retry):
            return answer
        if isinstance(answer, Permanent):
            progress.refuse(answer)
            return None
        results = answer.get("Entries", [])
        if len(results) != len(batch):
            return Retry(Reason.OTHER, "unreadable answer", ambiguous=True)
        waits: Retry | None = None
        for one, result in zip(batch, results, strict=True):
            error = result.get("ErrorCode", "")
            verdict = judge(error) if error else None
            if verdict is None:
                progress.take(one.id)
            elif isinstance(verdict, Permanent):
                progress.refuse(verdict)
            else:
                waits = waits or verdict
        return waits


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries in calls of at most ten, and of at most what a call may weigh."""
    batch: list[Entry] = []
    weight = 0
    for one in entries:
        if batch and (len(batch) == MAX_ENTRIES or weight + one.size > MAX_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(one)
        weight += one.size
    if batch:
        yield batch


def detail(notification: Notification, alert: Alert) -> dict[str, Any]:
    """Return what an entry says; long notes are cut, so that any alert fits."""
    status = "resolved" if alert.resolved(notification.at) else "firing"
    room = DETAIL_BYTES // max(1, len(alert.annotations) + len(alert.labels))
    return {
        "id": short(f"{notification.dedup_key} {alert.fingerprint} {alert.starts_at} {status}"),
        "status": status,
        "reason": notification.why.value,
        "receiver": notification.receiver,
        "groupKey": cut_bytes(notification.group_key, NOTE_BYTES),
        "flush": notification.flush,
        "fingerprint": alert.fingerprint,
        "labels": _fitting(alert.labels, room),
        "annotations": _fitting(alert.annotations, room),
        "startsAt": iso(alert.starts_at),
        "endsAt": iso(alert.ends_at) if status == "resolved" and alert.ends_at else None,
        "generatorURL": cut_bytes(alert.generator_url, NOTE_BYTES),
    }


def _fitting(table: Mapping[str, str], room: int) -> dict[str, str]:
    return {cut_bytes(name, NOTE_BYTES): cut_bytes(said, room) for name, said in table.items()}


def read(section: Section, _: Ambient) -> Eventbridge:
    """Read one entry of `eventbridge_configs`."""
    source = section.text("source", SOURCE)
    if not source or source.startswith("aws."):
        section.problem("source must not be empty or begin with aws.", "source")
    return Eventbridge(
        account_=read_account(section),
        bus=section.text("bus", BUS),
        source=source,
        send_resolved=section.flag("send_resolved", default=True),
    )
