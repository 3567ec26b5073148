"""The guard: every rule firing, not firing, and where it cannot look."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workers.synap.test_schema import DEFAULT, placed
from workers.severity import Severity
from workers.synap.checks import available
from workers.synap.guard import Case, Judgement, Profile, judge
from workers.synap.rules import BY_NAME, RULES
from workers.synap.schema import BUDGET, CONFIDENCE, DIMENSION, GRAPH, METRIC, TTL, settings_of

PRODUCTION = Profile(production=True)
LATENCY = Profile(latency_critical=True)


def case(path: str = "", value: Any = None, *, was: Any = ..., **known: Any) -> Case:
    """Return a case that differs from a quiet one in one field, which `was` something before."""
    settings = settings_of(placed(path, value) if path else {})
    before = settings_of(placed(path, was) if path and was is not ... else {})
    quiet: dict[str, Any] = {
        "before": before,
        "config_id": "maca_cfg_2",
        "author": "ann",
        "reviewed_by": "bob",
        "mode": "graceful",
    }
    return Case(settings=settings, **{**quiet, **known})


def said(rule: str, given: Case) -> str:
    """Return `fires`, `silent` or `unchecked`."""
    found = judge([BY_NAME[rule]], given)
    return "fires" if found.violations else "unchecked" if found.skipped else "silent"


def row(rule: str, given: Case, expected: str, label: str) -> Any:
    """Return a row of the table."""
    return pytest.param(rule, given, expected, id=f"{rule}: {label}")


TABLE = [
    row("retention_unlimited", case(), "fires", "by default"),
    row("retention_unlimited", case(TTL, None), "fires", "null"),
    row("retention_unlimited", case(TTL, 0), "fires", "0"),
    row("retention_unlimited", case(TTL, -1), "fires", "negative"),
    row("retention_unlimited", case(TTL, 365), "silent", "a year"),
    row("retention_unlimited", case(TTL, "long"), "unchecked", "odd"),
    row("retention_shortened", case(TTL, 90, was=365), "fires", "shorter"),
    row("retention_shortened", case(TTL, 90, was=None), "fires", "was unlimited"),
    row("retention_shortened", case(TTL, 365, was=90), "silent", "longer"),
    row("retention_shortened", case(TTL, None, was=90), "silent", "unlimited now"),
    row("retention_shortened", case(TTL, 90, was=90), "silent", "same"),
    row("retention_shortened", case(TTL, 90, before=None), "unchecked", "before unknown"),
    row("retention_shortened", case(TTL, 90, was="long"), "unchecked", "before odd"),
    row("context_budget", case(BUDGET, 10**6), "silent", "window unknown"),
    row("context_budget", case(BUDGET, 4096, profile=Profile(llm_window=8192)), "silent", "fits"),
    row("context_budget", case(BUDGET, 4097, profile=Profile(llm_window=8192)), "fires", "over"),
    row("context_budget", case(BUDGET, 16384, profile=Profile(llm_window=32768)), "silent", "32 K"),
    row("context_budget", case(BUDGET, 16385, profile=Profile(llm_window=32768)), "fires", "32 K+"),
    row("context_budget", case(BUDGET, 9000, profile=Profile(memory_budget=8999)), "fires", "own"),
    row("context_budget", case(BUDGET, 9, profile=Profile(memory_budget=9)), "silent", "own fits"),
    row("context_budget", case(BUDGET, [1], profile=LATENCY), "unchecked", "odd"),
    row("unreviewed", case(reviewed_by=""), "fires", "nobody"),
    row("unreviewed", case(), "silent", "reviewed"),
    row("unreviewed", case(reviewed_by=None), "unchecked", "unknown"),
    row("self_reviewed", case(reviewed_by="ann"), "fires", "own author"),
    row("self_reviewed", case(), "silent", "another"),
    row("self_reviewed", case(reviewed_by="", author=""), "silent", "nobody"),
    row("self_reviewed", case(author=None), "unchecked", "unknown"),
    row("immediate_in_production", case(mode="immediate", profile=PRODUCTION), "fires", "both"),
    row("immediate_in_production", case(mode="IMMEDIATE", profile=PRODUCTION), "fires", "case"),
    row("immediate_in_production", case(mode="immediate"), "silent", "not production"),
    row("immediate_in_production", case(profile=PRODUCTION), "silent", "graceful"),
    row("immediate_in_production", case(mode=None, profile=PRODUCTION), "unchecked", "unknown"),
    row("defaults_in_production", case(profile=PRODUCTION), "fires", "nothing given"),
    row(
        "defaults_in_production",
        Case(settings=settings_of(DEFAULT), profile=PRODUCTION),
        "fires",
        "the page's example",
    ),
    row("defaults_in_production", case(BUDGET, 4097, profile=PRODUCTION), "silent", "changed"),
    row("defaults_in_production", case("storage.x", 1, profile=PRODUCTION), "silent", "unknown"),
    row("defaults_in_production", case(BUDGET, "x", profile=PRODUCTION), "silent", "odd"),
    row("defaults_in_production", case(), "silent", "not production"),
    row("vectors_changed", case(DIMENSION, 3072, was=1536), "fires", "dimension"),
    row("vectors_changed", case(METRIC, "euclidean"), "fires", "metric, from the default"),
    row("vectors_changed", case(DIMENSION, 1536), "silent", "written out"),
    row("vectors_changed", case(DIMENSION, 3072, before=None), "unchecked", "before unknown"),
    row("vectors_changed", case(DIMENSION, "big"), "unchecked", "odd"),
    row("graph_off", case(GRAPH, value=False), "fires", "off"),
    row("graph_off", case(GRAPH, value=True), "silent", "on"),
    row("graph_off", case(), "silent", "by default"),
    row("graph_off", case(GRAPH, "off"), "unchecked", "odd"),
    row("confidence_lowered", case(CONFIDENCE, 0.5, was=0.7), "fires", "two steps"),
    row("confidence_lowered", case(CONFIDENCE, 0.6, was=0.7), "silent", "one step"),
    row("confidence_lowered", case(CONFIDENCE, 0.9, was=0.7), "silent", "raised"),
    row("confidence_lowered", case(CONFIDENCE, 0.1, before=None), "unchecked", "before unknown"),
    row("accurate_when_latency_critical", case("retrieval.mode", "accurate"), "silent", "may wait"),
    row(
        "accurate_when_latency_critical",
        case("retrieval.mode", "accurate", profile=LATENCY),
        "fires",
        "may not",
    ),
    row(
        "accurate_when_latency_critical",
        case("retrieval.mode", "fast", profile=LATENCY),
        "silent",
        "fast",
    ),
    row(
        "accurate_when_latency_critical",
        case("retrieval.mode", 3, profile=LATENCY),
        "unchecked",
        "odd",
    ),
    row("not_pinned", case(pinned="maca_cfg_1"), "fires", "another"),
    row("not_pinned", case(pinned="maca_cfg_2"), "silent", "the one"),
    row("not_pinned", case(), "silent", "none pinned"),
]


@pytest.mark.parametrize(("rule", "given", "expected"), TABLE)
def test_each_rule(rule: str, given: Case, expected: str) -> None:
    """A rule fires on its violation, is silent without, and says where it cannot look."""
    assert said(rule, given) == expected


def test_the_table_is_whole() -> None:
    """Every rule fires in a row, is silent in another; its case is the only reason."""
    rows = {(values.values[0], values.values[2]) for values in TABLE}

    assert {(rule.name, verdict) for rule in RULES for verdict in ("fires", "silent")} <= rows


def test_every_rule_says_what_and_why_and_then_what() -> None:
    """Name, severity, reason, item of the checklist or page, and fix are there for each."""
    for rule in RULES:
        assert rule.name in BY_NAME
        assert rule.severity in Severity
        assert rule.item.startswith(("production checklist, ", "API page, "))
        assert rule.why.endswith(".")
        assert rule.fix.endswith(".")


@pytest.mark.parametrize(
    ("given", "rule", "text"),
    [
        pytest.param(
            case(TTL, 90, was=365),
            "retention_shortened",
            "retention was shortened from 365 to 90 days: the memories of 275 days "
            "(90 to 365 days old) will be deleted",
            id="days' worth",
        ),
        pytest.param(
            case(TTL, 90, was=None),
            "retention_shortened",
            "retention was unlimited and is 90 days: all older memories will be deleted",
            id="from unlimited",
        ),
        pytest.param(
            case(BUDGET, 8192, profile=Profile(llm_window=8192)),
            "context_budget",
            "the context budget of 8192 tokens is more than the 4096 that an LLM window of 8192 "
            "tokens leaves",
            id="window",
        ),
        pytest.param(
            case(DIMENSION, 3072),
            "vectors_changed",
            "the embedding dimension changed from 1536 to 3072: the stored vectors no longer match",
            id="vectors",
        ),
    ],
)
def test_the_sentence(given: Case, rule: str, text: str) -> None:
    """A violation says in numbers what is wrong."""
    (violation,) = judge([BY_NAME[rule]], given).violations

    assert violation.text == text
    assert violation.machine["severity"] == BY_NAME[rule].severity.value


def test_what_could_not_be_read_is_not_judged() -> None:
    """Without the settings only the rules speak that look at how it came to be active."""
    found = judge(RULES, Case(config_id="b", pinned="a", reviewed_by="", author="", mode="canary"))

    assert {violation.rule for violation in found.violations} == {"unreviewed", "not_pinned"}
    assert {skipped.why for skipped in found.skipped} == {"the configuration could not be read"}
    assert not found.clean
    assert Judgement().clean


@pytest.mark.parametrize("rule", ["retention_shortened", "vectors_changed", "confidence_lowered"])
def test_the_first_configuration_changes_nothing(rule: str) -> None:
    """What nothing was active before cannot have shortened, changed or lowered anything."""
    first = case(TTL, 5, before=None, first=True)

    assert said(rule, first) == "silent"


@pytest.mark.parametrize(
    ("window", "room"),
    [
        pytest.param(4096, 2048, id="4 K"),
        pytest.param(8192, 4096, id="8 K"),
        pytest.param(16384, 4096, id="16 K"),
        pytest.param(32768, 16384, id="32 K"),
        pytest.param(131072, 32768, id="128 K"),
        pytest.param(1_000_000, 32768, id="1 M"),
    ],
)
def test_the_checklists_table(window: int, room: int) -> None:
    """The table holds at its sizes, and the smaller row between them."""
    assert available(window) == room
