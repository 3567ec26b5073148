"""What holds without a configuration: everything is logged, and what matters pages.

The same in spirit as `example.yaml`, with no more to know than a key and a URL.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from receiver.event import CONFIG_APPLIED, CREDENTIAL_EXPIRING, INGESTION_FAILED
from workers.alerting.config import AlertingConfig
from workers.alerting.matchers import Matcher, Op
from workers.alerting.notification import Notifier
from workers.alerting.notifiers.log import Log
from workers.alerting.notifiers.pagerduty import Pagerduty
from workers.alerting.notifiers.slack import Slack
from workers.alerting.receiver_section import numbered
from workers.alerting.receivers import Receiver
from workers.alerting.route import Spec, build
from workers.section import Secret

LOG: Final = "log"
SLACK: Final = "slack"
PAGERDUTY: Final = "pagerduty"
CHANGES: Final = "pagerduty-changes"

PAGED: Final = "critical|error|high|warning|medium"
"""Severities that page; credentials page from low on, since their severity climbs by itself."""

GROUP_BY: Final = ("alertname", "instance_id", "credential_id", "error_code")

GROUP_WAIT: Final = 5.0
STEP_INTERVAL: Final = 60.0
"""Seconds within which a credential's next step is told."""


def default_config(routing_key: SecretStr | None, slack_url: SecretStr | None) -> AlertingConfig:
    """Return what holds without a file, for the secrets that there are."""
    receivers = [_receiver(LOG, Log())]
    routes: list[Spec] = []
    if slack_url is not None:
        receivers.append(_receiver(SLACK, Slack(api_url=Secret(slack_url))))
        routes.append(Spec(receiver=SLACK, goes_on=True, group_wait=GROUP_WAIT))
    if routing_key is not None:
        target = Pagerduty(routing_key=Secret(routing_key))
        receivers.append(_receiver(PAGERDUTY, target))
        changes = replace(target, changes=True, send_resolved=False)
        receivers.append(_receiver(CHANGES, changes))
        routes += paging()
    routes.append(Spec(receiver=LOG))
    root = Spec(receiver=LOG, group_by=GROUP_BY, group_wait=0.0, routes=tuple(routes))
    return AlertingConfig(route=build(root), receivers={one.name: one for one in receivers})


def paging() -> list[Spec]:
    """Return who is paged for what; all of it goes on to the other receivers."""
    expiring = _is("event_type", CREDENTIAL_EXPIRING)
    failed = _is("event_type", INGESTION_FAILED)
    applied = _is("event_type", CONFIG_APPLIED)
    information = _is("severity", "info")
    # A burst has no cause. Single failures page only where every later one must fail as well.
    burst_or_stopped = Matcher("cause", Op.REGEX, "|authentication|credits")
    others = Matcher("event_type", Op.NOT_REGEX, f"{INGESTION_FAILED}|{CREDENTIAL_EXPIRING}")
    return [
        _pages(expiring, Matcher("severity", Op.NOT_EQUAL, "info"), interval=STEP_INTERVAL),
        _pages(failed, burst_or_stopped, Matcher("severity", Op.REGEX, PAGED)),
        _pages(others, Matcher("severity", Op.REGEX, PAGED)),
        Spec(
            receiver=CHANGES,
            matchers=(applied, information),
            group_wait=GROUP_WAIT,
            goes_on=True,
        ),
    ]


def _pages(*matchers: Matcher, interval: float | None = None) -> Spec:
    return Spec(
        receiver=PAGERDUTY,
        matchers=matchers,
        group_wait=GROUP_WAIT,
        group_interval=interval,
        goes_on=True,
    )


def _is(name: str, value: str) -> Matcher:
    return Matcher(name, Op.EQUAL, value)


def _receiver(name: str, notifier: Notifier) -> Receiver:
    kind = name.partition("-")[0]
    return Receiver(name=name, integrations=numbered(name, [(kind, notifier, None)]))
