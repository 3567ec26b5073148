"""Target `cloudwatch`: PutMetricData, how many alerts fire, by a few labels.

A group's labels are always among the dimensions: else one group's end would hide that another
still fires. Each distinct set of dimensions is a metric that costs money, so labels that differ
from event to event are never one. What is over counts 0: an alarm should treat missing data as
`ignore`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

from workers.alert import Alert
from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.aws import Account, ask, read_account
from workers.alerting.notifiers.steps import Memory, Step, in_order
from workers.outbound import Permanent, Retry, Sent, Verdict
from workers.section import Section

NAMESPACE: Final = "SynapHooks"
METRIC: Final = "AlertsFiring"
DIMENSIONS: Final = ("alertname", "severity")
MAX_METRICS: Final = 1000
MAX_BYTES: Final = 900_000
"""Bytes of a call's metrics together: below the megabyte that CloudWatch takes."""
METRIC_BYTES: Final = 400
DIMENSION_BYTES: Final = 120
"""Bytes that a metric and a dimension take beside what they say, encoded in any way."""
MAX_DIMENSIONS: Final = 30
NAME_CHARS: Final = 255
COUNTLESS: Final = frozenset(
    {"event_id", "correlation_id", "document_id", "ingestion_id", "user_id"}
)
"""Labels that differ from event to event: each value would be a paid metric of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloudwatch:
    """Counts alerts in a namespace, by the labels that `dimensions` names."""

    account_: Account
    namespace: str = NAMESPACE
    metric: str = METRIC
    dimensions: tuple[str, ...] = DIMENSIONS
    high_resolution: bool = False
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    acknowledges: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True
    """A gauge written twice is the same gauge, as far as an alarm on its maximum can see."""

    @property
    def account(self) -> str:
        """What shares a rate: the region and whose credentials."""
        return f"{self.account_.region} {self.account_.profile} {self.account_.endpoint_url}"

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Put the counts, at most a thousand and at most a megabyte in a call."""
        chunks = enumerate(batches(self.data(notification)))
        steps = [Step(str(at), partial(self._put, chunk, call)) for at, chunk in chunks]
        return in_order(steps, call)

    def data(self, notification: Notification) -> list[dict[str, Any]]:
        """Return one value for each set of dimensions among the alerts."""
        counts: dict[tuple[tuple[str, str], ...], int] = {}
        names = dict.fromkeys((*self.dimensions, *sorted(notification.group_labels)))
        shown = [name for name in names if name not in COUNTLESS][:MAX_DIMENSIONS]
        for alert in notification.alerts:
            named = tuple(_dimensions(alert, shown))
            firing = 0 if alert.resolved(notification.at) else 1
            counts[named] = counts.get(named, 0) + firing
        return [
            {
                "MetricName": self.metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in named],
                "Timestamp": notification.at,
                "Value": float(count),
                "Unit": "Count",
                "StorageResolution": 1 if self.high_resolution else 60,
            }
            for named, count in counts.items()
        ]

    def _put(self, chunk: list[dict[str, Any]], call: Call, _: Memory) -> Verdict:
        answer = ask(
            lambda: self.account_.client("cloudwatch", call.outbound).put_metric_data(
                Namespace=self.namespace, MetricData=chunk
            ),
            call.now,
        )
        if isinstance(answer, Retry | Permanent):
            return answer
        return Sent(str(answer.get("ResponseMetadata", {}).get("RequestId", "")))


def batches(data: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the metrics in calls of at most what CloudWatch takes."""
    batch: list[dict[str, Any]] = []
    weight = 0
    for one in data:
        size = METRIC_BYTES + sum(
            DIMENSION_BYTES + 3 * len(part["Name"] + part["Value"]) for part in one["Dimensions"]
        )
        if batch and (len(batch) == MAX_METRICS or weight + size > MAX_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(one)
        weight += size
    if batch:
        yield batch


def _dimensions(alert: Alert, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the dimensions that an alert has: CloudWatch takes ASCII and nothing empty."""
    for name in names:
        value = alert.labels.get(name, "").encode("ascii", "replace").decode().strip()
        if value:
            yield cut(name, NAME_CHARS), value[:NAME_CHARS]


def read(section: Section, _: Ambient) -> Cloudwatch:
    """Read one entry of `cloudwatch_configs`."""
    namespace = section.text("namespace", NAMESPACE)
    if not namespace or len(namespace) > NAME_CHARS or namespace.startswith("AWS/"):
        section.problem(
            f"namespace must have 1 to {NAME_CHARS} characters and not begin with AWS/", "namespace"
        )
    named = section.texts("dimensions")
    dimensions = DIMENSIONS if named is None else tuple(text.value for text in named)
    if len(dimensions) > MAX_DIMENSIONS:
        section.problem(f"at most {MAX_DIMENSIONS} dimensions", "dimensions")
    for name in dimensions:
        if name in COUNTLESS:
            section.problem(
                f'"{name}" differs from event to event: each value would be a paid metric',
                "dimensions",
            )
    return Cloudwatch(
        account_=read_account(section),
        namespace=namespace,
        metric=section.text("metric", METRIC),
        dimensions=dimensions,
        high_resolution=section.flag("high_resolution", default=False),
        send_resolved=section.flag("send_resolved", default=True),
    )
