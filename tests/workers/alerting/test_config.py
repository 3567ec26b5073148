"""What the `alerting` section may not say, and in which words it is refused."""

from __future__ import annotations

import pytest

from tests.workers.alerting.house import config_of
from workers.section import DocumentError

ROUTE = "route: {receiver: team-X}\n"
TEAM = "receivers: [{name: team-X}]\n"


def problems(text: str) -> list[str]:
    """Return why a section is refused, each as `line: message`."""
    with pytest.raises(DocumentError) as caught:
        config_of(text)
    return [problem.removeprefix("hooks.yml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ["1: no route provided in config"], id="nothing"),
        pytest.param(TEAM, ["1: no routes provided"], id="no-route"),
        pytest.param(
            "route: {group_wait: 30s}\n" + TEAM,
            ["1: root route must specify a default receiver"],
            id="no-receiver",
        ),
        pytest.param(
            "route: {receiver: team-X, continue: true}\n" + TEAM,
            ["1: cannot have continue in root route"],
            id="continue",
        ),
        pytest.param(
            "route: {receiver: team-X, matchers: [a=b]}\n" + TEAM,
            ["1: root route must not have any matchers"],
            id="matchers",
        ),
        pytest.param(
            "route: {receiver: team-X, match: {a: b}}\n" + TEAM,
            ["1: root route must not have any matchers"],
            id="match",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  mute_time_intervals: [m]\n" + TEAM,
            [
                '2: undefined time interval "m" used in route',
                "3: root route must not have any mute time intervals",
            ],
            id="mute",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  active_time_intervals: [m]\n" + TEAM,
            [
                '2: undefined time interval "m" used in route',
                "3: root route must not have any active time intervals",
            ],
            id="active",
        ),
    ],
)
def test_what_a_root_route_may_not_be(text: str, expected: list[str]) -> None:
    """B45: each mistake in the root has its message and line."""
    assert problems(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            ROUTE + "receivers:\n- name: team-X\n- name: team-X\n",
            ['4: notification config name "team-X" is not unique'],
            id="twice",
        ),
        pytest.param(
            ROUTE + "receivers: [{name: other}]\n",
            ['1: undefined receiver "team-X" used in route'],
            id="undefined",
        ),
        pytest.param(
            "route:\n  receiver: team-X\n  routes:\n  - receiver: gone\n" + TEAM,
            ['4: undefined receiver "gone" used in route'],
            id="undefined-in-child",
        ),
        pytest.param(
            ROUTE + "receivers: [{name: team-X}, {log_configs: [{}]}]\n",
            ["2: missing name in receiver"],
            id="no-name",
        ),
        pytest.param(
            ROUTE + "receivers: [{name: team-X, labels: {name: different-name}}]\n",
            ['2: receiver label "name" must match receiver name "team-X", got "different-name"'],
            id="label",
        ),
    ],
)
def test_what_a_receiver_may_not_be(text: str, expected: list[str]) -> None:
    """B46: each mistake in a receiver has its message and line."""
    assert problems(text) == expected


def test_a_time_interval_must_be_defined() -> None:
    """B47: a route may only name time intervals that exist."""
    text = (
        "route:\n  receiver: team-X\n  routes:\n  - mute_time_intervals: [business_hours]\n" + TEAM
    )

    assert problems(text) == ['4: undefined time interval "business_hours" used in route']


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        pytest.param(
            "group_by: [cluster, a, cluster]", 'duplicated label "cluster" in group_by', id="twice"
        ),
        pytest.param(
            "group_by: ['...', a]",
            "cannot have wildcard group_by (`...`) and other labels at the same time",
            id="wildcard",
        ),
        pytest.param(
            "group_by: [-invalid-]", 'invalid label name "-invalid-" in group_by list', id="name"
        ),
        pytest.param("group_interval: 0s", "group_interval cannot be zero", id="interval"),
        pytest.param("repeat_interval: 0s", "repeat_interval cannot be zero", id="repeat"),
        pytest.param("group_wait: soon", 'not a valid duration string: "soon"', id="duration"),
        pytest.param(
            "grup_by: [a]",
            'unknown field "grup_by" in route (did you mean "group_by"?)',
            id="unknown",
        ),
        pytest.param("labels: {1x: a}", 'invalid label name "1x" in route labels', id="labels"),
        pytest.param("routes: [{match: {1x: a}}]", 'invalid label name "1x"', id="match"),
        pytest.param("routes: [{matchers: [foo]}]", "bad matcher format: foo", id="matcher"),
    ],
)
def test_what_a_route_may_not_say(option: str, expected: str) -> None:
    """B48: each mistake in a route has its message and line."""
    text = f"route:\n  receiver: team-X\n  {option}\n{TEAM}"

    assert problems(text) == [f"3: {expected}"]


def test_patterns_that_re2_refuses_are_problems() -> None:
    """A pattern with lookaround or a backreference is refused when the file is read."""
    text = (
        "route:\n  receiver: team-X\n  routes:\n"
        "  - match_re: {a: '(?=x)'}\n  - matchers: ['a=~\"(b)\\\\1\"']\n" + TEAM
    )

    found = problems(text)

    assert [line.partition(":")[0] for line in found] == ["4", "5"]
    assert all("invalid regular expression" in line for line in found)


def test_every_problem_is_reported_at_once() -> None:
    """A person mends the whole file after one look."""
    text = (
        "route:\n  receiver: nobody\n  group_interval: 0s\nrecievers: []\n"
        "receivers:\n- name: a\n  pagerduty_configs:\n  - {routing_key: k, routing_key_file: f}\n"
    )

    assert problems(text) == [
        '2: undefined receiver "nobody" used in route',
        "3: group_interval cannot be zero",
        '4: unknown field "recievers" in the file (did you mean "receivers"?)',
        "8: at most one of routing_key & routing_key_file must be configured",
    ]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param("webhook_configs: [{}]", "one of url or url_file must be configured", id="w"),
        pytest.param(
            "webhook_configs: [{url: 'ftp://x'}]", "url must be an http or https URL", id="w-url"
        ),
        pytest.param(
            "slack_configs: [{}]",
            "no Slack API URL set either inline or in a file",
            id="s",
        ),
        pytest.param(
            "slack_configs: [{api_url: x}]", "api_url must be an http or https URL", id="s-url"
        ),
        pytest.param(
            "pagerduty_configs: [{}]",
            "one of routing_key, routing_key_file or PAGERDUTY_ROUTING_KEY must be configured",
            id="p",
        ),
        pytest.param(
            "pagerduty_configs: [{routing_key: k, url: x}]",
            "url must be an http or https URL",
            id="p-url",
        ),
        pytest.param(
            "pagerduty_configs: [{routing_key: k, severities: {a: bad}}]",
            '"bad" is no severity of PagerDuty: critical, error, warning, info',
            id="p-severity",
        ),
        pytest.param(
            "log_configs: [{level: x}]", 'unknown field "level" in log_config', id="unknown"
        ),
    ],
)
def test_what_an_integration_may_not_be(entry: str, expected: str) -> None:
    """Each target checks its own fields when the file is read."""
    assert problems(f"{ROUTE}receivers:\n- name: team-X\n  {entry}\n") == [f"4: {expected}"]


def test_endless_nesting_is_refused() -> None:
    """A route that contains itself is a problem, not a crash."""
    found = problems("route: &r\n  receiver: team-X\n  routes: [*r]\n" + TEAM)

    assert found == ["1: routes are nested more than 32 deep"]
