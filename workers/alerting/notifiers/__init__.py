"""The targets: each file holds its configuration, its call and its reading of the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from workers.alerting.notification import Notifier
from workers.alerting.notifiers import (
    alertmanager,
    apprise,
    cloudwatch,
    datadog,
    email,
    eventbridge,
    log,
    msteams,
    opsgenie,
    pagerduty,
    slack,
    sns,
    webhook,
)
from workers.alerting.notifiers.ambient import Ambient
from workers.section import Section

Read: TypeAlias = Callable[[Section, Ambient], Notifier]

TARGETS: Final[Mapping[str, Read]] = {
    "alertmanager": alertmanager.read,
    "apprise": apprise.read,
    "cloudwatch": cloudwatch.read,
    "datadog": datadog.read,
    "email": email.read,
    "eventbridge": eventbridge.read,
    "log": log.read,
    "msteams": msteams.read,
    "opsgenie": opsgenie.read,
    "pagerduty": pagerduty.read,
    "slack": slack.read,
    "sns": sns.read,
    "webhook": webhook.read,
}
"""How each target's `<target>_configs` entries are read."""

__all__ = ["TARGETS", "Ambient", "Read"]
