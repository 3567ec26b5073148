"""Target `log`: one structured line for each notification, always there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import structlog

from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers.ambient import Ambient
from workers.outbound import Sent, Verdict
from workers.section import Section

_log = structlog.get_logger("workers.alerting.log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Writes what on-call would be told; it cannot fail, so no delivery is kept for it."""

    send_resolved: bool = True

    durable: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = True
    account: ClassVar[str] = "log"

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Write the line where it stands."""
        shown = notification.firing or notification.alerts
        _log.info(
            "alert.notified",
            status=notification.status,
            title=notification.title,
            why=notification.why.value,
            group=notification.group_key,
            receiver=notification.receiver,
            severity=shown[0].labels.get("severity", "") if shown else "",
            labels=notification.common_labels,
            annotations=notification.common_annotations,
            firing=len(notification.firing),
            resolved=len(notification.resolved),
            truncated=notification.truncated,
            delivery=call.delivery,
        )
        return Sent()


def read(section: Section, _: Ambient) -> Log:
    """Read one entry of `log_configs`."""
    return Log(send_resolved=section.flag("send_resolved", default=True))
