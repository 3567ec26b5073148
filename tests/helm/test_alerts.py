"""The chart's alert rules: parsed and run by promtool, on metrics that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.helm.chart import CHART, merged, named, render
from tests.helm.series import INTERNAL, declared, names
from tests.helm.stories import STORIES
from tests.helm.story import Story
from tests.promtool import needs_promtool, promtool

EXTERNAL: Final = {"synap_hooks:refusing_since"}


def groups(**changes: Any) -> list[dict[str, Any]]:
    """Return the rule groups of the case with monitoring, some of its values changed."""
    changed = {"monitoring": {"prometheusRule": changes}}
    rule = named(render(merged("monitoring", changed)), "PrometheusRule", "-alerts")
    found: list[dict[str, Any]] = rule["spec"]["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """Return every alert rule by its name."""
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Return a file with the rendered rules, as Prometheus reads it."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups()}))
    return path


@needs_promtool
def test_prometheus_takes_the_rules(rules: Path) -> None:
    """`promtool check rules` accepts every rule."""
    count = sum(len(group["rules"]) for group in groups())

    assert f"SUCCESS: {count} rules found" in promtool("check", "rules", str(rules))


@needs_promtool
@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_rules_do_what_they_say(story: Story, rules: Path, tmp_path: Path) -> None:
    """Each story of series ends with exactly the alerts that it tells."""
    path = tmp_path / "story.yaml"
    path.write_text(yaml.safe_dump(story.document(str(rules), alerts())))

    promtool("test", "rules", str(path))


def test_every_alert_has_a_story() -> None:
    """No alert stands in the chart that was never seen to fire and to be silent."""
    fired = {name for story in STORIES for _, name, labels in story.expected if labels}
    silent = {name for story in STORIES for _, name, labels in story.expected if not labels}

    assert fired == set(alerts())
    assert silent == set(alerts())


def test_every_alert_has_a_runbook() -> None:
    """Each alert links to a section of the chart's README that exists."""
    headings = re.findall(r"^### (\w+)$", (CHART / "README.md").read_text(), re.MULTILINE)

    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"].endswith(f"README.md#{name.lower()}")
    assert sorted(headings) == sorted(alerts())


def test_rules_stand_on_metrics_that_there_are() -> None:
    """Each metric in a rule is one that the code declares, with labels that it has."""
    for rule in (rule for group in groups() for rule in group["rules"]):
        for name, labels in names(rule["expr"]):
            if name in EXTERNAL:
                continue
            assert name in declared(), name
            assert labels - INTERNAL <= declared()[name], (name, labels)


def test_rules_watch_this_release_alone() -> None:
    """Each series in a rule is limited to the release, however its labels are called."""
    changed = merged("monitoring", {"monitoring": {"selector": {"job": "hooks"}}})
    other = named(render(changed), "PrometheusRule", "-alerts")["spec"]["groups"]

    for found, label in ((groups(), "app_kubernetes_io_instance"), (other, "job")):
        for rule in (rule for group in found for rule in group["rules"]):
            assert all(label in labels for _, labels in names(rule["expr"]))


def test_thresholds_are_values() -> None:
    """What a value sets stands in the rule."""
    found = {
        rule.get("alert"): rule["expr"]
        for group in groups(oldestAge=77, quietHours=5, retiredKeys=["a", "b"])
        for rule in group["rules"]
    }

    assert "> 77" in found["SynapHooksOldestEventTooOld"]
    assert "[5h]" in found["SynapHooksNothingAccepted"]
    assert 'key=~"a|b"' in found["SynapHooksRetiredKeyInUse"]


def test_optional_groups_are_optional() -> None:
    """Without retired keys, and without `synap`, their groups are not made."""
    found = {group["name"] for group in groups(retiredKeys=[], synap=False)}

    assert found == {"synap-hooks-edge", "synap-hooks-work"}


@pytest.mark.parametrize(
    ("ack", "enough"),
    [("", "fsync"), ("fsync", "fsync"), ("replica", "replica"), ("memory", "memory|fsync|replica")],
)
def test_what_was_asked_for_is_durable_enough(ack: str, enough: str) -> None:
    """An acknowledgement that stands for what settings.ack says does not alert; one below does."""
    changed = merged("monitoring", {"settings": {"ack": ack}})
    rule = named(render(changed), "PrometheusRule", "-alerts")
    found = {
        one.get("alert"): one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]
    }

    assert f'level!~"{enough}"' in found["SynapHooksNotDurable"]
