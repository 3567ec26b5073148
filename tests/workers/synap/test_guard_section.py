"""Rules of a team's own, and the `guard` section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workers.synap.test_rules import case
from workers.document import parse
from workers.section import DocumentError
from workers.severity import Severity
from workers.synap.guard import Judgement, Profile, Skipped, judge
from workers.synap.guard_section import GuardConfig, read
from workers.synap.own_rules import OPERATORS, own_rule
from workers.synap.rules import BY_NAME
from workers.synap.schema import BUDGET, TTL

OWN = {
    "==": (BUDGET, 4096, BUDGET, 4096.0, 5),
    "!=": (BUDGET, 4096, BUDGET, 5, 4096),
    "<": (BUDGET, 4096, BUDGET, 4095, 4096),
    "<=": (BUDGET, 4096, BUDGET, 4096, 4097),
    ">": (BUDGET, 4096, BUDGET, 4097, 4096),
    ">=": (BUDGET, 4096, BUDGET, 4096, 4095),
    "in": ("retrieval.mode", ["fast", "accurate"], "retrieval.mode", "fast", "balanced"),
    "not in": ("retrieval.mode", ["fast"], "retrieval.mode", "balanced", "fast"),
    "contains": ("ingestion.categories", "emotion", "ingestion.categories", ["emotion"], ["fact"]),
    "matches": ("ingestion.extraction.model", "^exp-", "ingestion.extraction.model", "exp-1", "a"),
    "absent": ("storage.codec", None, "storage.other", 1, None),
    "present": ("storage.codec", None, "storage.codec", "zstd", None),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator(operator: str) -> None:
    """An own rule fires exactly where its operator holds; each operator has its row."""
    path, value, at, holding, other = OWN[operator]
    rule = own_rule(
        name="own", path=path, operator=operator, value=value, severity=Severity.HIGH, text="No."
    )
    quiet = case("storage.codec", 1) if operator == "absent" else case(at, other)
    if operator == "present":
        quiet = case()

    (violation,) = judge([rule], case(at, holding)).violations

    assert (violation.rule, violation.severity) == ("own", Severity.HIGH)
    assert violation.text.startswith(f"No. ({path} is ")
    assert judge([rule], quiet) == Judgement()


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - {"absent", "present"}))
def test_a_field_that_is_not_there_breaks_no_rule(operator: str) -> None:
    """Only `absent` and `present` speak of fields that are not there."""
    value = OWN[operator][1]
    rule = own_rule(
        name="o", path="no.such", operator=operator, value=value, severity=Severity.LOW, text="t"
    )

    assert judge([rule], case()) == Judgement()


@pytest.mark.parametrize(
    ("operator", "value", "held"),
    [
        pytest.param("<", 5, "many", id="order of a text"),
        pytest.param("matches", "a", 5, id="pattern of a number"),
        pytest.param("contains", "a", "abc", id="element of a text"),
    ],
)
def test_what_cannot_be_compared_is_said(operator: str, value: Any, held: Any) -> None:
    """A field of another type than the operator needs is not checked, and never breaks."""
    rule = own_rule(
        name="o", path="storage.x", operator=operator, value=value, severity=Severity.LOW, text="t"
    )

    assert judge([rule], case("storage.x", held)).skipped == (
        Skipped("o", f"storage.x cannot be compared by {operator}"),
    )


def section(text: str) -> GuardConfig:
    """Read a `guard` section."""
    root = parse(text, file="hooks.yml", base=Path("/nowhere"))
    inner = root.section("guard")
    assert inner
    found = read(inner)
    root.findings.raise_if_any()
    return found


def test_the_section_whole() -> None:
    """Profiles, switches, severities, numbers and own rules are read."""
    found = section(
        """
guard:
  good_after: 2h
  instances:
    - {id: inst_a, production: true, latency_critical: true, llm_window: 32768}
    - {id: "*", memory_budget: 9000, api_key_file: key.txt}
  rules:
    self_reviewed: {enabled: false}
    retention_unlimited: {severity: high, max_days: 730}
    confidence_lowered: {step: 0.25}
  own:
    - {name: cap, path: retrieval.context_budget, operator: ">", value: 16000,
       severity: low, text: "Too dear."}
    - {name: mode, path: retrieval.mode, operator: not in, value: [fast, balanced], text: "No."}
    - {name: odd, path: storage.codec, value: "{zstd", text: "No."}
    - {name: gone, path: storage.codec, operator: absent, text: "No."}
"""
    )

    assert found.good_after == 7200
    assert found.profile("inst_a") == Profile(
        production=True, latency_critical=True, llm_window=32768
    )
    assert found.profile("inst_b") == Profile(memory_budget=9000)
    rules = {rule.name: rule for rule in found.rules}
    assert set(BY_NAME) - set(rules) == {"self_reviewed"}
    assert rules["retention_unlimited"].severity is Severity.HIGH
    assert rules["retention_unlimited"].options == {"max_days": 730}
    assert rules["confidence_lowered"].options == {"step": 0.25}
    kept = judge([rules["retention_unlimited"]], case(TTL, 731)).violations
    assert kept[0].text == "memories are kept for 731 days, more than the 730 that are allowed"
    assert judge([rules["cap"]], case(BUDGET, 16001)).violations
    assert judge([rules["mode"]], case("retrieval.mode", "accurate")).violations
    assert judge([rules["odd"]], case("storage.codec", "{zstd")).violations
    assert judge([rules["gone"]], case()).violations
    assert str(found.keys["*"].file) == "/nowhere/key.txt"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("rules: {retention: {}}", 'unknown field "retention"', id="unknown rule"),
        pytest.param("rules: {graph_off: {step: 1}}", 'unknown field "step"', id="unknown option"),
        pytest.param(
            "rules: {confidence_lowered: {step: low}}", '"step" must be a number', id="no number"
        ),
        pytest.param("rules: {graph_off: {severity: bad}}", '"severity" must be', id="severity"),
        pytest.param("instances: [{production: true}]", "needs its id", id="no id"),
        pytest.param("instances: [{id: a}, {id: a}]", '"a" stands twice', id="twice"),
        pytest.param(
            "own: [{name: graph_off, path: a, text: b, value: 1}]", "a name that no", id="name"
        ),
        pytest.param("own: [{name: a, path: b, value: 1}]", 'needs "text"', id="no text"),
        pytest.param(
            'own: [{name: a, path: b, text: c, operator: "<", value: x}]', "a number", id="order"
        ),
        pytest.param(
            "own: [{name: a, path: b, text: c, operator: matches, value: '('}]",
            "not a regular expression",
            id="pattern",
        ),
        pytest.param(
            "own: [{name: a, path: b, text: c, operator: in, value: d}]",
            "must be a list",
            id="list",
        ),
        pytest.param(
            "own: [{name: a, path: b, text: c, value: [d]}]", "must be a text", id="one value"
        ),
        pytest.param(
            "own: [{name: a, path: b, text: c, operator: like, value: d}]",
            "must be one of",
            id="op",
        ),
    ],
)
def test_problems_of_the_section(text: str, problem: str) -> None:
    """What cannot be meant is refused with its line."""
    with pytest.raises(DocumentError, match=r"hooks\.yml:2: ") as refused:
        section(f"guard:\n  {text}\n")

    assert problem in str(refused.value)
