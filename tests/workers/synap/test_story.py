"""The scenario of the API's page, from the first configuration to the rollback."""

from __future__ import annotations

from tests.sandbox.sandbox import CLIENT, INSTANCE
from tests.workers.synap.conftest import Serve
from tests.workers.synap.console import Console

GUARD = f"""
guard:
  instances:
    - {{id: {INSTANCE}, llm_window: 8192}}
"""
BUDGET = "SynapConfigViolation:context_budget"


def test_from_init_to_rollback(services: Serve) -> None:
    """A budget that an LLM cannot hold is told with its change, and one command takes it back."""
    service = services(GUARD)
    instance = service.sandbox.instance
    service.sandbox.send = service.deliver
    owner = {"client_id": CLIENT, "triggered_by_user_id": "user_admin_001"}
    first, _, _ = instance.init(owner)
    instance.review(first.config_id, {"decision": "approve", "reviewed_by": "user_lead_002"})
    instance.apply(first.config_id, {"applied_by": "user_admin_001"})
    service.sandbox.settle()
    before = set(service.firing)

    change = {
        "reason": "Increase context budget",
        "config": {"retrieval": {"context_budget": 8192}},
    }
    second, _, _ = instance.update(owner | change)
    instance.review(second.config_id, {"decision": "approve", "reviewed_by": "user_lead_002"})
    instance.apply(second.config_id, {"applied_by": "user_admin_001"})

    service.sandbox.settle()
    told = service.latest(BUDGET)
    assert told.status == "firing"
    assert "context budget raised from 4096 to 8192 tokens" in told.notes["description"]
    command = f"synap-hooks maca rollback {INSTANCE} --to {first.config_id}"
    assert told.notes["rollback"] == command

    console = Console(service)
    assert console(*command.split()[1:], "--yes", "--reason", "costs", "--actor", "dana") == 0
    service.sandbox.settle()
    service.tick(2)

    assert instance.active is first
    assert instance.operations[-1] == ("rollback", first.config_id)
    assert service.latest(BUDGET).status == "resolved"
    assert service.firing & {BUDGET} == set()
    assert before - {"SynapConfigApplied"} <= service.firing
    assert f"{first.config_id} (v1) is active" in console.out
    assert "# Post-mortem: configuration" in console.out
    assert "context budget raised from 4096 to 8192 tokens.\n" in console.out
    assert console("history", "--json") == 0
    [line] = console.document["history"]
    assert (line["actor"], line["action"], line["subject"]) == ("dana", "maca-rollback", INSTANCE)
