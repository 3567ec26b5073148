"""The `guard` section: what is known of each instance, which rules hold, and rules of one's own.

Every process reads it wholly; what it leaves out is as in `GuardConfig()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from workers.section import Secret, Section
from workers.severity import Severity
from workers.synap.guard import Profile, Rule
from workers.synap.own_rules import LISTS, OPERATORS, UNARY, own_rule
from workers.synap.rules import BY_NAME, RULES

DAY: Final = 86_400.0
EVERY: Final = "*"
_SEVERITIES: Final = tuple(level.value for level in Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """The whole section; `good_after` is in seconds.

    A configuration that was active for `good_after` without a violation is known to be good.
    """

    rules: tuple[Rule, ...] = RULES
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    keys: Mapping[str, Secret] = field(default_factory=dict)
    good_after: float = DAY

    def profile(self, instance_id: str) -> Profile:
        """Return what is known of an instance, else what holds for every other one."""
        return self.profiles.get(instance_id) or self.profiles.get(EVERY) or Profile()


def read(section: Section) -> GuardConfig:
    """Read the section; problems are noted in its findings."""
    good_after = section.duration("good_after")
    profiles: dict[str, Profile] = {}
    keys: dict[str, Secret] = {}
    for inner in section.sections("instances", "instance"):
        name = inner.text("id")
        if not name:
            inner.problem('an instance needs its id, or "*" for every other one')
        if name in profiles:
            inner.problem(f'instance "{name}" stands twice', "id")
        profiles[name] = _profile(inner)
        key = inner.secret("api_key")
        if key is not None:
            keys[name] = key
        inner.close()
    rules = [*_rules(section.section("rules")), *_own(section)]
    section.close()
    return GuardConfig(
        rules=tuple(rules),
        profiles=profiles,
        keys=keys,
        good_after=DAY if good_after is None else good_after,
    )


def _profile(section: Section) -> Profile:
    def tokens(name: str) -> int | None:
        return section.integer(name, 0, least=1) if section.has(name) else None

    return Profile(
        production=section.flag("production", default=False),
        latency_critical=section.flag("latency_critical", default=False),
        llm_window=tokens("llm_window"),
        memory_budget=tokens("memory_budget"),
    )


def _rules(section: Section | None) -> list[Rule]:
    """Return the rules that hold, changed as the section says."""
    held: list[Rule] = []
    for rule in RULES:
        written = section.section(rule.name) if section else None
        if written is None:
            held.append(rule)
            continue
        enabled = written.flag("enabled", default=True)
        severity = Severity(written.choice("severity", rule.severity.value, _SEVERITIES))
        options = {name: _number(written, name, value) for name, value in rule.options.items()}
        written.close()
        if enabled:
            held.append(replace(rule, severity=severity, options=options))
    if section is not None:
        section.close()
    return held


def _own(section: Section) -> list[Rule]:
    rules: list[Rule] = []
    names = set(BY_NAME)
    for inner in section.sections("own", "own rule"):
        name = inner.text("name")
        if not name or name in names:
            inner.problem("an own rule needs a name that no other rule has", "name")
        names.add(name)
        rule = _own_rule(inner, name)
        inner.close()
        if rule is not None:
            rules.append(rule)
    return rules


def _own_rule(section: Section, name: str) -> Rule | None:
    path, text = section.text("path"), section.text("text")
    operator = section.choice("operator", "==", tuple(OPERATORS))
    severity = Severity(section.choice("severity", Severity.MEDIUM.value, _SEVERITIES))
    value = _value(section, operator)
    for field_name, found in (("path", path), ("text", text)):
        if not found:
            section.problem(f'an own rule needs "{field_name}"', field_name)
    try:
        return own_rule(
            name=name, path=path, operator=operator, value=value, severity=severity, text=text
        )
    except ValueError as error:
        section.problem(str(error), "value")
        return None


def _value(section: Section, operator: str) -> Any:
    if operator in UNARY:
        return None
    if operator in LISTS:
        return [_typed(one.value) for one in section.texts("value") or ()]
    text = section.text("value")
    return text if operator == "matches" else _typed(text)


def _typed(text: str) -> Any:
    """Return what a scalar of YAML stands for."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return found if isinstance(found, bool | int | float | str) else text or None


def _number(section: Section, name: str, default: float) -> float:
    text = section.text(name)
    if not text:
        return default
    found = _typed(text)
    if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0:
        return float(found)
    section.problem(f'field "{name}" must be a number, at least 0', name)
    return default
