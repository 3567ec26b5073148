"""Target `log`."""

from __future__ import annotations

from structlog.testing import capture_logs

from tests.build import INSTANCE, NOW, make_alert
from tests.workers.alerting.notifiers.conformance import call, notification, target
from workers.alerting.notification import Why
from workers.outbound import Outbound, Sent


def test_one_line_for_each_notification() -> None:
    """The line says what on-call would be told."""
    with capture_logs() as lines:
        verdict = target("log", "{}").notify(notification(truncated=2), call(Outbound()))

    assert verdict == Sent()
    assert lines == [
        {
            "event": "alert.notified",
            "log_level": "info",
            "status": "firing",
            "title": "A document failed (3 alerts)",
            "why": "first notification",
            "group": '{}:{alertname="A"}',
            "receiver": "team",
            "severity": "warning",
            "labels": {
                "alertname": "A",
                "severity": "warning",
                "event_type": "ingestion.failed",
                "instance_id": INSTANCE,
            },
            "annotations": {"summary": "A document failed"},
            "firing": 1,
            "resolved": 0,
            "truncated": 2,
            "delivery": "delivery-1",
        }
    ]


def test_the_title_of_a_group_without_a_summary() -> None:
    """A group of different alerts is named by its labels."""
    alerts = [
        make_alert("A", host=str(n), annotations={"summary": str(n)}, ends_at=NOW) for n in range(2)
    ]
    told = notification(*alerts, why=Why.ALL_RESOLVED, group_labels={"alertname": "A", "x": "y"})

    assert (told.status, told.title) == ("resolved", "A y (2 alerts)")
    assert type(told).from_wire(told.to_wire()) == told
