"""The `alerting` section: who can be told, and the tree that says who is.

Every process reads and checks it wholly; secrets are only resolved where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from pydantic import SecretStr

from workers.alerting.doubts import doubt
from workers.alerting.inhibit_section import read_rules
from workers.alerting.inhibition import Inhibitor
from workers.alerting.interval_section import read_intervals
from workers.alerting.intervals import Intervals
from workers.alerting.notifiers import Ambient
from workers.alerting.receiver_section import read_receivers, read_texts
from workers.alerting.receivers import Integration, Receiver
from workers.alerting.route import Route, Spec, build
from workers.alerting.route_section import check_names, read_root
from workers.alerting.silences import MAX_DURATION
from workers.alerting.texts import Template
from workers.section import Problem, Section

DELIVERY_DEADLINE: Final = 15 * 60.0
"""Seconds for which a delivery is tried."""

__all__ = ["AlertingConfig", "Integration", "Receiver", "read"]


@dataclass(frozen=True, kw_only=True)
class AlertingConfig:
    """The whole section; durations are seconds.

    `resolve_timeout` is after how long an alert whose end nobody stated is over, None for never.
    `max_groups` 0 means that there may be any number.
    """

    route: Route
    receivers: Mapping[str, Receiver]
    delivery_deadline: float = DELIVERY_DEADLINE
    resolve_timeout: float | None = None
    max_groups: int = 0
    max_silence_duration: float = MAX_DURATION
    external_url: str = ""
    inhibitor: Inhibitor = field(default_factory=lambda: Inhibitor(()))
    intervals: Intervals = field(default_factory=dict)
    texts: Mapping[str, Template] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def slots(self) -> dict[str, Route]:
        """Every route by its slot."""
        return {route.slot: route for route in self.route.walk()}

    @cached_property
    def integrations(self) -> dict[str, Integration]:
        """Every way in which anyone can be told, by its target's name."""
        return {
            one.target: one for receiver in self.receivers.values() for one in receiver.integrations
        }


def read(
    section: Section, *, routing_key: SecretStr | None = None, slack_url: SecretStr | None = None
) -> AlertingConfig:
    """Read the section; the secrets given stand in where a receiver names none.

    Raises:
        DocumentError: with every problem and its line.
    """
    findings = section.findings
    general = section.section("global") or Section(None, "global", findings)
    deadline = general.duration("delivery_deadline")
    resolve_timeout = general.duration("resolve_timeout")
    max_groups = general.integer("max_groups", 0)
    max_silence = general.duration("max_silence_duration")
    external_url = general.text("external_url").rstrip("/")
    receivers = read_receivers(
        section.sections("receivers", "receiver"),
        _ambient(general, routing_key, slack_url),
        resolve_when_muted=general.flag("resolve_when_muted", default=True),
    )
    general.close()
    intervals = read_intervals(section)
    inhibitor = read_rules(section)
    texts = read_texts(section)
    spec = _root(section, receivers, intervals)
    section.close()
    findings.raise_if_any()
    route = build(spec)
    doubt(route, receivers, intervals, section)
    return AlertingConfig(
        route=route,
        receivers=receivers,
        delivery_deadline=DELIVERY_DEADLINE if deadline is None else deadline,
        resolve_timeout=resolve_timeout,
        max_groups=max_groups,
        max_silence_duration=MAX_DURATION if max_silence is None else max_silence,
        external_url=external_url,
        inhibitor=inhibitor,
        intervals=intervals,
        texts=texts,
        warnings=tuple(findings.warnings),
    )


def _ambient(
    general: Section, routing_key: SecretStr | None, slack_url: SecretStr | None
) -> Ambient:
    return Ambient(
        routing_key=routing_key,
        slack_url=slack_url,
        pagerduty_url=general.text("pagerduty_url"),
        slack_api_url=general.secret("slack_api_url"),
    )


def _root(section: Section, receivers: Mapping[str, Receiver], intervals: Intervals) -> Spec:
    written = section.section("route")
    if written is None:
        section.problem("no routes provided" if section.names() else "no route provided in config")
        return Spec()
    spec = read_root(written)
    check_names(spec, written, receivers, intervals)
    return spec
