"""The README's examples of what on-call gets are what the handlers say, word for word."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from tests.build import NOW, SAMPLES, iso
from tests.sandbox.schema import default, merged
from tests.servers import ROOT
from tests.workers.handlers.events import event_of
from workers.alert import Alert
from workers.handlers import HANDLERS, Context
from workers.handlers.ingestion_failed import over
from workers.handlers.lookups import Alone
from workers.handlers.retention_habit import silence
from workers.synap.answers import Configuration
from workers.synap.difference import difference
from workers.synap.failures import Tally
from workers.synap.guard import Case, Profile, judge
from workers.synap.records import Inspection, Known, Question, Record, Remembered
from workers.synap.rules import RULES
from workers.synap.runs import Run, Watch

README = " ".join((ROOT / "README.md").read_text().split())
INSTANCE = "inst_f1e2d3c4b5a69078"
HOUR = 3600.0
DAY = 24 * HOUR
OLD = merged(default(INSTANCE), {"storage": {"retention": {"default_ttl_days": 365}}})
NEW = merged(OLD, {"retrieval": {"context_budget": 8192}})
BEFORE = Configuration(config_id="maca_cfg_1a2b3c4d", version=1, **OLD)
AFTER = Configuration(config_id="maca_cfg_5e6f7a8b", version=2, **NEW)
CHANGED = Record("maca_cfg_5e6f7a8b", NOW - 600, "2", "user_admin_001")
GOOD = Record("maca_cfg_1a2b3c4d", NOW - 5 * DAY, "1", "user_admin_001", clean=True)


class Synap(Alone):
    """An instance whose context budget was just raised, and whose runs are daily."""

    def inspect(self, asked: Question, *, deadline: float) -> Inspection:
        """Return what the guard found."""
        del deadline
        case = Case(
            settings=AFTER.settings,
            before=BEFORE.settings,
            config_id=AFTER.config_id,
            author="user_admin_001",
            reviewed_by="user_lead_002",
            mode=asked.mode,
            profile=Profile(llm_window=8192),
        )
        return Inspection(
            judge(RULES, case),
            Remembered(current=GOOD),
            AFTER,
            BEFORE,
            difference(BEFORE.settings, AFTER.settings),
            BEFORE.config_id,
            DAY,
        )

    def active(self, instance_id: str, *, deadline: float) -> Known:
        """Return the active configuration."""
        del instance_id, deadline
        return Known(AFTER)

    def latest_change(self, instance_id: str) -> Record | None:
        """Return the change of ten minutes ago."""
        del instance_id
        return CHANGED

    def runs(self, instance_id: str, scope: str) -> tuple[Run, ...]:
        """Return a week of daily runs."""
        del instance_id, scope
        return tuple(Run(f"run_{day}", NOW - day * DAY, 200) for day in range(7, 0, -1))


def decided(event_type: str, data: dict[str, Any]) -> list[Alert]:
    """Return every alert of one event that still fires."""
    event = event_of(event_type, data, instance_id=INSTANCE, correlation_id="corr_7f3a")
    context = Context(now=NOW, deadline=NOW + 20, synap=Synap())
    decision = HANDLERS[event_type](event, context)
    noted = (alert for note in decision.notes for alert in note.alerts or ())
    return [alert for alert in (*decision.alerts, *noted) if not alert.resolved(NOW)]


APPLIED = decided(
    "config.applied",
    {
        "config_id": "maca_cfg_5e6f7a8b",
        "version": 2,
        "previous_config_id": "maca_cfg_1a2b3c4d",
        "applied_by": "user_admin_001",
        "applied_at": iso(NOW),
        "mode": "graceful",
        "reason": "Increase context budget for longer support conversations",
    },
)
[FAILED] = decided(
    "ingestion.failed",
    {
        "document_id": "doc_4711",
        "document_type": "pdf",
        "stage": "embedding",
        "error_code": "503",
        "error_message": "embedding service unavailable",
        "attempt": 3,
    },
)
OVER = over(
    Tally(
        "t",
        NOW + HOUR,
        FAILED,
        37,
        NOW,
        NOW + 45 * 60,
        ("doc_4711", "doc_4712", "doc_4715"),
        ("corr_7f3a", "corr_7f3b"),
    )
)
CLEANED = decided(
    "retention.cleanup",
    {
        "memories_deleted": 24_000,
        "memories_scanned": 100_000,
        "scope": "customer",
        "policy": {"max_memory_age_days": 90, "max_memories_per_scope": 10_000},
        "started_at": iso(NOW - 720),
        "completed_at": iso(NOW),
    },
)
LATE = silence(
    Watch(INSTANCE, "customer", "default", DAY, NOW - 2 * DAY),
    Context(now=NOW, deadline=NOW).policy.retention,
    now=NOW,
)
[EXPIRING] = decided("credential.expiring", {**SAMPLES["credential.expiring"], "days_remaining": 3})

EXAMPLES = {
    alert.name + alert.labels.get("rule", "") + ("-over" if alert is OVER else ""): alert
    for alert in (*APPLIED, FAILED, OVER, *CLEANED, LATE, EXPIRING)
}


def rendered(alert: Alert) -> str:
    """Return an alert as the README shows it."""
    state = "RESOLVED" if alert is OVER else "FIRING"
    head = f"[{state}] {alert.labels['severity']}: {alert.annotations['summary']}"
    return "\n".join(
        part
        for text in (head, alert.annotations["description"])
        for part in textwrap.wrap(text, 98, break_long_words=False, break_on_hyphens=False)
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_real(name: str) -> None:
    """Each alert stands in the README as the handler writes it."""
    assert " ".join(rendered(EXAMPLES[name]).split()) in README


def test_every_kind_has_its_example() -> None:
    """What stands there covers every alert that an event may cause, but a burst."""
    assert {alert.name for alert in EXAMPLES.values()} == {
        "SynapConfigApplied",
        "SynapConfigViolation",
        "SynapCredentialExpiring",
        "SynapIngestionFailed",
        "SynapRetentionCleanup",
        "SynapRetentionOverdue",
        "SynapRetentionPolicyDiffers",
    }
