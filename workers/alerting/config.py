"""The `alerting` section: who can be told, and the tree that says who is.

Every process reads and checks it wholly; secrets are only resolved where they are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pydantic import SecretStr

from workers.alerting.matchers import Matcher, Op
from workers.alerting.notification import Notifier
from workers.alerting.notifiers import TARGETS, Ambient
from workers.alerting.notifiers.log import Log
from workers.alerting.notifiers.pagerduty import Pagerduty
from workers.alerting.notifiers.slack import Slack
from workers.alerting.route import Route, Spec, build
from workers.alerting.route_section import check_names, read_root
from workers.section import Findings, Problem, Secret, Section

DELIVERY_DEADLINE: Final = 15 * 60.0
"""Seconds for which a delivery is tried."""

PAGED: Final = "critical|error|high|warning|medium"
"""Severities that page when nothing is configured but a key."""

DEFAULT_GROUP_BY: Final = ("alertname", "instance_id", "credential_id")
DEFAULT_GROUP_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One way in which a receiver is told; `name` is its type and place: `webhook/0`."""

    receiver: str
    name: str
    notifier: Notifier

    @property
    def type(self) -> str:
        """The target's type, as metrics know it."""
        return self.name.partition("/")[0]


class Receiver(NamedTuple):
    """Someone who can be told, in any number of ways; in none at all for what is only dropped."""

    name: str
    integrations: tuple[Integration, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingConfig:
    """The whole section; `delivery_deadline` is in seconds."""

    route: Route
    receivers: Mapping[str, Receiver]
    delivery_deadline: float = DELIVERY_DEADLINE
    external_url: str = ""
    warnings: tuple[Problem, ...] = ()


def default_config(routing_key: SecretStr | None, slack_url: SecretStr | None) -> AlertingConfig:
    """Return what holds without a file: everything is logged, what matters also pages."""
    receivers = [_receiver("log", [("log", Log())])]
    routes = []
    if slack_url is not None:
        receivers.append(_receiver("slack", [("slack", Slack(api_url=Secret(slack_url)))]))
        routes.append(Spec(receiver="slack", goes_on=True, group_wait=DEFAULT_GROUP_WAIT))
    if routing_key is not None:
        target = Pagerduty(routing_key=Secret(routing_key))
        receivers.append(_receiver("pagerduty", [("pagerduty", target)]))
        severe = Matcher("severity", Op.REGEX, PAGED)
        routes.append(
            Spec(
                receiver="pagerduty",
                matchers=(severe,),
                group_wait=DEFAULT_GROUP_WAIT,
                goes_on=True,
            )
        )
    routes.append(Spec(receiver="log"))
    root = Spec(receiver="log", group_by=DEFAULT_GROUP_BY, group_wait=0.0, routes=tuple(routes))
    return AlertingConfig(
        route=build(root), receivers={receiver.name: receiver for receiver in receivers}
    )


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
    external_url = general.text("external_url").rstrip("/")
    ambient = Ambient(
        routing_key=routing_key,
        slack_url=slack_url,
        pagerduty_url=general.text("pagerduty_url"),
        slack_api_url=general.secret("slack_api_url"),
    )
    general.close()
    receivers = _receivers(section.sections("receivers", "receiver"), ambient)
    spec = _root(section, receivers)
    section.close()
    findings.raise_if_any()
    route = build(spec)
    _doubt(route, receivers, section)
    return AlertingConfig(
        route=route,
        receivers=receivers,
        delivery_deadline=DELIVERY_DEADLINE if deadline is None else deadline,
        external_url=external_url,
        warnings=tuple(findings.warnings),
    )


def _root(section: Section, receivers: Mapping[str, Receiver]) -> Spec:
    written = section.section("route")
    if written is None:
        section.problem("no routes provided" if section.names() else "no route provided in config")
        return Spec()
    spec = read_root(written)
    check_names(spec, written, receivers)
    return spec


def _receivers(sections: Iterable[Section], ambient: Ambient) -> dict[str, Receiver]:
    receivers: dict[str, Receiver] = {}
    for section in sections:
        name = section.text("name")
        if not name:
            section.problem("missing name in receiver")
        if name in receivers:
            section.problem(f'notification config name "{name}" is not unique', "name")
        labelled = section.table("labels").get("name", name)
        if labelled != name:
            section.problem(
                f'receiver label "name" must match receiver name "{name}", got "{labelled}"',
                "labels",
            )
        notifiers: list[tuple[str, Notifier]] = []
        for kind, read_target in TARGETS.items():
            for inner in section.sections(f"{kind}_configs", f"{kind}_config"):
                notifiers.append((kind, read_target(inner, ambient)))
                inner.close()
        receivers[name] = _receiver(name, notifiers)
        section.close()
    return receivers


def _receiver(name: str, notifiers: Iterable[tuple[str, Notifier]]) -> Receiver:
    """Number a receiver's integrations within each type."""
    counts: dict[str, int] = {}
    integrations = []
    for kind, notifier in notifiers:
        place = counts.get(kind, 0)
        counts[kind] = place + 1
        integrations.append(Integration(receiver=name, name=f"{kind}/{place}", notifier=notifier))
    return Receiver(name, tuple(integrations))


def _doubt(route: Route, receivers: Mapping[str, Receiver], section: Section) -> None:
    """Note what is allowed but probably not meant."""
    used = {node.options.receiver for node in route.walk()}
    for name in receivers:
        if name not in used:
            section.warn(f'receiver "{name}" is used by no route', "receivers")
    for node in route.walk():
        options = node.options
        if options.repeat_interval % options.group_interval:
            section.findings.warn(
                node.line,
                f"repeat_interval {options.repeat_interval:g}s is no multiple of group_interval "
                f"{options.group_interval:g}s: repeats come at the next multiple",
            )
        _doubt_order(node, section.findings)


def _doubt_order(node: Route, findings: Findings) -> None:
    """Note routes that stand after one that takes everything."""
    taken = False
    for child in node.routes:
        if taken:
            findings.warn(child.line, "unreachable route: one before it takes every alert")
        taken = taken or not (child.matchers or child.goes_on)
