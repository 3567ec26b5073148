"""Templates: what they may say, what they may not, and that they always come to an end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import NOW, make_alert
from tests.workers.alerting.house import config_of
from workers.alerting.notification import Notification, Why
from workers.alerting.texts import MAX_TEXT, Template, TextError, worded
from workers.section import DocumentError


def notification(**labels: str) -> Notification:
    """Return a notification about two alerts, one of which is over."""
    return Notification(
        group_key='{}:{alertname="A"}',
        dedup_key="d",
        receiver="page",
        why=Why.FIRST,
        at=NOW,
        planned=NOW,
        flush=1,
        group_labels={"alertname": "A"},
        alerts=(
            make_alert("A", host="1", **labels),
            make_alert("A", host="2", now=NOW - 60, ends_at=NOW - 1, **labels),
        ),
    )


def rendered(source: str, **labels: str) -> str:
    """Return what becomes of a template."""
    said, failed = worded(notification(**labels), {"title": Template(source)})
    assert failed == {}
    return said.texts.get("title", "")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("{{ status|upper }}: {{ group_labels.alertname }}", "FIRING: A", id="labels"),
        pytest.param("{{ num_firing }}/{{ num_resolved }}", "1/1", id="counts"),
        pytest.param(
            "{% for alert in alerts %}{{ alert.labels.host }}={{ alert.status }} {% endfor %}",
            "1=firing 2=resolved", id="loop",
        ),
        pytest.param("{% if common_labels.team %}x{% else %}y{% endif %}", "y", id="condition"),
        pytest.param("{{ common_labels.team|default('nobody', true) }}", "nobody", id="default"),
        pytest.param("{{ a.b.c }}", "", id="unknown-is-empty"),
        pytest.param("{{ firing[0].starts_at }}", "2027-01-15 08:00:00+00:00", id="time"),
        pytest.param("{{ common_labels.severity ~ '!' }}", "warning!", id="concatenation"),
        pytest.param("{{ common_labels.severity|replace('w', 'W') }}", "Warning", id="replace"),
        pytest.param("{{ why }} to {{ receiver }}", "first notification to page", id="why"),
        pytest.param("{# nothing #}", "", id="comment"),
    ],
)  # fmt: skip
def test_what_templates_say(source: str, expected: str) -> None:
    """B12: templates speak of the group's alerts, their labels and their state."""
    assert rendered(source) == expected


def test_what_events_say_is_never_a_template() -> None:
    """A label that looks like a template is inserted as it is."""
    assert rendered("{{ common_labels.team }}", team="{{ 7 * 7 }}") == "{{ 7 * 7 }}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("{{ x() }}", "call is not allowed", id="call"),
        pytest.param("{{ 9 ** 9 }}", "pow is not allowed", id="power"),
        pytest.param("{{ 'a' * 9 }}", "mul is not allowed", id="times"),
        pytest.param("{{ '%9s' % 1 }}", "mod is not allowed", id="format"),
        pytest.param("{% set a = 1 %}", "assign is not allowed", id="set"),
        pytest.param("{% include 'a' %}", "include is not allowed", id="include"),
        pytest.param("{% import 'a' as b %}", "import is not allowed", id="import"),
        pytest.param("{% macro a() %}{% endmacro %}", "macro is not allowed", id="macro"),
        pytest.param("{% extends 'a' %}", "extends is not allowed", id="extends"),
        pytest.param("{{ 'a'|center(9) }}", 'filter "center" is not allowed', id="filter"),
        pytest.param("{{ 'a'|attr('b') }}", 'filter "attr" is not allowed', id="attr"),
        pytest.param("{{ 'a'|nosuch }}", 'filter "nosuch" is not allowed', id="unknown-filter"),
        pytest.param("{% for a in b %}" * 3 + "{% endfor %}" * 3, "2 deep at most", id="loops"),
        pytest.param(
            "{% for a in b recursive %}{% endfor %}", "2 deep at most", id="recursive-loop"
        ),
        pytest.param("{{ broken", "line 1: unexpected end", id="syntax"),
        pytest.param("x" * 8193, "longer than 8192 characters", id="long"),
        pytest.param("{{ " + "(" * 2000 + ")" * 2000 + " }}", "nested too deeply", id="deep"),
    ],
)
def test_what_templates_may_not_say(source: str, expected: str) -> None:
    """What could run long or reach out is refused when the file is read."""
    with pytest.raises(TextError, match=expected):
        Template(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ''.__class__.__mro__ }}", id="class"),
        pytest.param("{{ common_labels.__init__.__globals__ }}", id="globals"),
        pytest.param("{{ alerts.__len__ }}", id="method"),
    ],
)
def test_nothing_leads_out_of_the_sandbox(source: str) -> None:
    """Names that Python would answer to are as empty as any other unknown name."""
    assert rendered(source) == ""


def test_a_result_is_bounded() -> None:
    """However much a template asks for, the text has an end."""
    loop = "{% for a in alerts %}{% for b in alerts %}" + "x" * 7000 + "{% endfor %}{% endfor %}"

    assert len(rendered(loop)) == MAX_TEXT


def test_replacing_again_and_again_is_bounded() -> None:
    """A filter that multiplies stops at the bound."""
    source = "{{ common_labels.team" + "|replace('', common_labels.team)" * 8 + " }}"

    assert len(rendered(source, team="x" * 500)) == MAX_TEXT


def test_what_cannot_be_made_is_left_out() -> None:
    """A template that fails with these alerts leaves the target's own form, and says so."""
    said, failed = worded(notification(), {"title": Template("{{ alerts|join(1)|round }}")})

    assert (said.texts, list(failed)) == ({}, ["title"])
    assert said.title == "A document failed"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        pytest.param("{title: '{{ x() }}'}", "template title: line 1: call", id="sandbox"),
        pytest.param("{headline: x}", 'unknown field "headline" in templates', id="unknown"),
    ],
)
def test_templates_are_checked_with_the_file(section: str, expected: str) -> None:
    """A template with a mistake is a problem with its line."""
    with pytest.raises(DocumentError) as caught:
        config_of(f"route: {{receiver: r}}\nreceivers: [{{name: r}}]\ntemplates: {section}\n")

    assert caught.value.problems[0].startswith(f"hooks.yml:3: {expected}")


def test_templates_are_values() -> None:
    """Two templates of one source are equal, and show it."""
    one, same, other = Template("a"), Template("a"), Template("b")
    kept: set[Any] = {one, same, other}

    assert len(kept) == 2
    assert repr(one) == "Template('a')"
