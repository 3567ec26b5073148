"""Whatever Synap answers as a configuration, the guard says something fit to read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.build import NOW
from tests.workers.handlers.events import event_of
from tests.workers.handlers.test_handlers import well_formed
from tests.workers.synap.test_schema import placed
from workers.handlers import HANDLERS, Context
from workers.handlers.lookups import Alone
from workers.synap.answers import Configuration
from workers.synap.difference import difference
from workers.synap.guard import Case, Profile, judge
from workers.synap.records import Inspection, Question
from workers.synap.rules import RULES
from workers.synap.schema import FIELDS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
CONFIG = st.fixed_dictionaries({}, optional={"storage": JSON, "ingestion": JSON, "retrieval": JSON})
FIELD = st.builds(placed, st.sampled_from([field.path for field in FIELDS]), JSON)
PROFILE = Profile(production=True, latency_critical=True, llm_window=8192)


class Told(Alone):
    """Knows two configurations, judged by all rules."""

    def __init__(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self.before = Configuration(config_id="a", **old)
        self.applied = Configuration(config_id="b", **new)

    def inspect(self, asked: Question, *, deadline: float) -> Inspection:
        """Return what the rules say of the newer one."""
        del deadline
        old, new = self.before.settings, self.applied.settings
        case = Case(settings=new, before=old, config_id="b", mode=asked.mode, profile=PROFILE)
        return Inspection(
            judge(RULES, case),
            applied=self.applied,
            before=self.before,
            changes=difference(old, new),
            previous="a",
        )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(old=CONFIG | FIELD, new=CONFIG | FIELD)
def test_no_configuration_breaks_the_guard(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Any JSON in any field, before or after, is judged, compared and told within bounds."""
    event = event_of("config.applied", {"config_id": "b", "mode": "immediate"})
    context = Context(now=NOW, deadline=NOW + 20, synap=Told(old, new))

    decision = HANDLERS["config.applied"](event, context)

    alerts = [*decision.alerts, *(alert for note in decision.notes for alert in note.alerts or ())]
    assert len(alerts) >= 2  # the change, and at least immediate mode in production
    for alert in alerts:
        assert well_formed(replace(alert, ends_at=alert.ends_at or NOW))
