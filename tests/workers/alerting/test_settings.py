"""What the `alerting` section means, and what holds without one."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from tests.build import make_alert
from tests.workers.alerting.house import config_of
from workers.alerting.config import AlertingConfig
from workers.alerting.default_routes import default_config
from workers.alerting.notifiers.pagerduty import Pagerduty
from workers.alerting.notifiers.slack import Slack

ROUTE = "route: {receiver: team-X}\n"
TEAM = "receivers: [{name: team-X}]\n"


def warnings(text: str) -> list[str]:
    """Return what is doubtful about a section, each as `line: message`."""
    return [str(found).removeprefix("hooks.yml:") for found in config_of(text).warnings]


def reached(config: AlertingConfig, **labels: str) -> list[str]:
    """Return the receivers that an alert reaches."""
    return [r.options.receiver for r in config.route.match(make_alert(**labels).labels)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "route: {receiver: team-X, repeat_interval: 7m}\n" + TEAM,
            "1: repeat_interval 420s is no multiple of group_interval 300s:"
            " repeats come at the next multiple",
            id="repeat",
        ),
        pytest.param(
            ROUTE + "receivers: [{name: team-X}, {name: idle}]\n",
            '2: receiver "idle" is used by no route',
            id="unused",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  routes:\n  - {group_wait: 1s}\n  - matchers: [a=b]\n"
            + TEAM,
            "5: unreachable route: one before it takes every alert",
            id="unreachable",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  routes:\n  - matchers: [a=b]\n"
            "  - {matchers: [c=d, a=b]}\n" + TEAM,
            "5: unreachable route: one before it takes every alert that it would",
            id="unreachable-narrower",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  routes:\n  - matchers: [a=b]\n    routes:\n"
            "    - {matchers: [a=c]}\n" + TEAM,
            "6: unreachable route: its matchers exclude each other",
            id="unreachable-below",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  routes:\n  - matchers: [a=b, 'a=~\"c|d\"']\n" + TEAM,
            "4: unreachable route: its matchers exclude each other",
            id="unreachable-pattern",
        ),
        pytest.param(
            ROUTE + TEAM + "time_intervals: [{name: night, time_intervals: [{}]}]\n",
            '3: time interval "night" is used by no route',
            id="unused-interval",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  routes:\n  - matchers: [foo=bar baz]\n" + TEAM,
            '4: matcher foo=bar baz: quote names, values and backslashes: write foo="bar baz"',
            id="quoting",
        ),
    ],
)
def test_what_is_allowed_but_probably_not_meant(text: str, expected: str) -> None:
    """B25, B41: doubts are warnings with their line."""
    assert warnings(text) == [expected]


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param("[{matchers: [a=b]}, {matchers: [a=c]}]", id="others"),
        pytest.param("[{matchers: [a=b], continue: true}, {matchers: [a=b]}]", id="goes-on"),
        pytest.param("[{matchers: [a=b, c=d]}, {matchers: [a=b]}]", id="wider"),
        pytest.param("[{matchers: [a=b, 'a=~\"b|c\"']}]", id="agree"),
        pytest.param("[{matchers: ['a!=b']}, {matchers: ['a=\"\"']}]", id="empty"),
    ],
)
def test_what_is_no_doubt(routes: str) -> None:
    """A route that something may reach is not called unreachable."""
    assert warnings(f"route:\n  receiver: team-X\n  routes: {routes}\n{TEAM}") == []


def test_no_secret_shows_in_a_configuration() -> None:
    """Keys and URLs of targets stay out of every printed form."""
    config = config_of(
        "route: {receiver: a}\nreceivers:\n- name: a\n"
        "  pagerduty_configs: [{routing_key: c4nary}]\n"
        "  webhook_configs: [{url: 'https://h/c4nary', signing_key: c4nary}]\n"
        "  slack_configs: [{api_url: 'https://h/c4nary'}]\n"
    )

    assert "c4nary" not in repr(config) + str(config)


def test_integrations_are_numbered_within_their_type() -> None:
    """A target is known by receiver, type and place."""
    config = config_of(
        ROUTE + "receivers:\n- name: team-X\n  log_configs: [{}, {}]\n"
        "  webhook_configs: [{url: 'http://h/'}]\n"
    )

    names = [one.name for one in config.receivers["team-X"].integrations]

    assert names == ["log/0", "log/1", "webhook/0"]


def test_the_environment_stands_in_for_keys() -> None:
    """A receiver that names no key of its own uses the environment's."""
    config = config_of(
        ROUTE + "receivers:\n- name: team-X\n  pagerduty_configs: [{}]\n  slack_configs: [{}]\n",
        routing_key=SecretStr("env-key"),
        slack_url=SecretStr("https://hooks/env"),
    )

    pagerduty, slack = (one.notifier for one in config.receivers["team-X"].integrations)

    assert isinstance(pagerduty, Pagerduty)
    assert isinstance(slack, Slack)
    assert pagerduty.routing_key.reveal() == "env-key"
    assert slack.api_url.reveal() == "https://hooks/env"


def test_general_settings() -> None:
    """The `global` section sets what holds for all."""
    config = config_of(
        "global: {delivery_deadline: 5m, external_url: 'https://hooks/', pagerduty_url: 'http://pd/'}\n"
        + ROUTE
        + "receivers:\n- name: team-X\n  pagerduty_configs: [{routing_key: k}]\n"
    )

    (integration,) = config.receivers["team-X"].integrations

    assert isinstance(integration.notifier, Pagerduty)
    assert (config.delivery_deadline, config.external_url) == (300.0, "https://hooks")
    assert integration.notifier.url == "http://pd/"


def test_with_nothing_at_all_alerts_go_to_the_log() -> None:
    """Without file and key everything is logged, at once."""
    config = default_config(None, None)

    assert list(config.receivers) == ["log"]
    assert reached(config, severity="critical") == ["log"]
    assert config.route.routes[0].options.group_wait == 0.0


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        pytest.param("critical", ["slack", "pagerduty", "log"], id="critical"),
        pytest.param("high", ["slack", "pagerduty", "log"], id="high"),
        pytest.param("medium", ["slack", "pagerduty", "log"], id="medium"),
        pytest.param("warning", ["slack", "pagerduty", "log"], id="warning"),
        pytest.param("low", ["slack", "log"], id="low"),
        pytest.param("info", ["slack", "log"], id="info"),
    ],
)
def test_keys_alone_give_a_default_route(severity: str, expected: list[str]) -> None:
    """With keys alone what matters pages, and everything is logged and posted as well."""
    config = default_config(SecretStr("key"), SecretStr("https://hooks/x"))

    assert reached(config, severity=severity) == expected


def test_default_groups_keep_causes_apart() -> None:
    """Each credential of each instance is a group of its own."""
    route = default_config(SecretStr("key"), None).route.routes[0]
    labels = {"alertname": "A", "instance_id": "i", "credential_id": "c", "severity": "high"}

    assert route.group_labels(labels) == {
        "alertname": "A",
        "instance_id": "i",
        "credential_id": "c",
    }
