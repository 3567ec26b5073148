"""The rules of the guard, each from an item of Synap's production checklist or its API page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.severity import Severity
from workers.synap import checks
from workers.synap.guard import Rule

REVIEWED: Final = "production checklist, Memory Architecture 1: MACA config reviewed and approved"
ROLLBACK: Final = "production checklist, Memory Architecture 3: Rollback plan documented"
RETENTION: Final = "production checklist, Memory Architecture 4: Retention policy set"
WINDOW: Final = (
    "production checklist, Memory Architecture 5: Context budget aligned with LLM window"
)
FAST: Final = "production checklist, Performance 1: Using fast mode for latency-sensitive paths"
IMMEDIATE: Final = "API page, Apply Configuration: mode immediate"
STORAGE: Final = "API page, Configuration Schema: storage.vector"
GRAPH_ITEM: Final = "API page, Configuration Schema: storage.graph.enabled"
CONFIDENCE_ITEM: Final = "API page, Configuration Schema: confidence_threshold"

RULES: Final = (
    Rule(
        name="retention_unlimited",
        severity=Severity.MEDIUM,
        why="Storage and its bill grow without end, and retrieval gets worse with every memory.",
        item=RETENTION,
        fix=(
            "Set storage.retention.default_ttl_days, to 365 for example, or switch this rule off "
            "if unlimited is meant."
        ),
        check=checks.retention_unlimited,
        options={"max_days": 0},
    ),
    Rule(
        name="retention_shortened",
        severity=Severity.HIGH,
        why="Deleted memories do not come back.",
        item=RETENTION,
        fix="Roll back before the next retention run if this was not meant.",
        check=checks.retention_shortened,
    ),
    Rule(
        name="context_budget",
        severity=Severity.MEDIUM,
        why="Memories push the question or the answer out of the LLM's window, or are cut off.",
        item=WINDOW,
        fix=(
            "Lower retrieval.context_budget to what the window leaves, or correct llm_window in "
            "guard.instances."
        ),
        check=checks.context_budget,
    ),
    Rule(
        name="unreviewed",
        severity=Severity.HIGH,
        why="Nobody but its author has looked at what agents now keep and tell.",
        item=REVIEWED,
        fix="Have somebody review it now, and roll back if nobody stands for it.",
        check=checks.unreviewed,
        reads=False,
    ),
    Rule(
        name="self_reviewed",
        severity=Severity.LOW,
        why="Authors overlook what they overlooked before.",
        item=REVIEWED,
        fix="Have somebody else look at the difference.",
        check=checks.self_reviewed,
        reads=False,
    ),
    Rule(
        name="immediate_in_production",
        severity=Severity.MEDIUM,
        why="Requests that were under way saw old and new behaviour mixed.",
        item=IMMEDIATE,
        fix="Look at the answers of that minute; apply in graceful or canary mode next time.",
        check=checks.immediate,
        reads=False,
    ),
    Rule(
        name="defaults_in_production",
        severity=Severity.MEDIUM,
        why="Defaults fit no use case: quality, cost and retention were never decided.",
        item=REVIEWED,
        fix="Make a configuration for your use case and have it reviewed.",
        check=checks.defaults,
    ),
    Rule(
        name="vectors_changed",
        severity=Severity.CRITICAL,
        why="Search compares vectors that cannot be compared: what it finds is noise.",
        item=STORAGE,
        fix="Roll back at once unless everything stored is being embedded anew.",
        check=checks.vectors,
    ),
    Rule(
        name="graph_off",
        severity=Severity.MEDIUM,
        why="What belongs together is no longer kept, and cannot be added later.",
        item=GRAPH_ITEM,
        fix="Turn storage.graph.enabled on again, or switch this rule off if it is meant.",
        check=checks.graph_off,
    ),
    Rule(
        name="confidence_lowered",
        severity=Severity.MEDIUM,
        why="What was doubtful is stored, and told to users as if it were known.",
        item=CONFIDENCE_ITEM,
        fix="Go down in small steps, and look at what is extracted in between.",
        check=checks.confidence,
        options={"step": 0.1},
    ),
    Rule(
        name="accurate_when_latency_critical",
        severity=Severity.MEDIUM,
        why="Users wait for each answer: 200 to 500 ms instead of 50 to 100.",
        item=FAST,
        fix="Set retrieval.mode to fast or balanced; ask for accurate where the user waits anyway.",
        check=checks.accurate,
    ),
    Rule(
        name="not_pinned",
        severity=Severity.HIGH,
        why="Something else runs than was agreed on.",
        item=ROLLBACK,
        fix="Roll back to the pinned version, or pin the new one with synap-hooks maca pin.",
        check=checks.not_pinned,
        reads=False,
    ),
)
"""Every rule with its defaults; those that need to know the instance ask its profile."""

BY_NAME: Final[Mapping[str, Rule]] = {rule.name: rule for rule in RULES}
