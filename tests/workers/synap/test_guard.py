"""`config.applied` through a whole worker: looked up, judged, told; and closed again."""

from __future__ import annotations

import time

import pytest

from tests.sandbox import Fault
from tests.sandbox.sandbox import INSTANCE
from tests.sandbox.schema import merged
from tests.workers.synap.conftest import Serve
from tests.workers.synap.console import Console

APPLIED = "SynapConfigApplied"
BOUND = {"storage": {"retention": {"default_ttl_days": 365}}}
PROFILE = f"""
guard:
  good_after: 1h
  instances: [{{id: {INSTANCE}, production: true, llm_window: 8192}}]
"""


def violation(rule: str) -> str:
    """Return the name of a rule's alert."""
    return f"SynapConfigViolation:{rule}"


def test_a_clean_change_is_told_with_its_difference(services: Serve) -> None:
    """The change is information: what became different, by whom, and how to go back."""
    service = services()
    first = service.active(BOUND)
    calls = len(service.sandbox.calls)

    second = service.active({"retrieval": {"context_budget": 2048}})

    told = service.latest(APPLIED)
    assert service.firing == {APPLIED}
    assert told.labels["severity"] == "info"
    assert told.notes["summary"] == f"Configuration {second} (version 2) is active on {INSTANCE}"
    assert "Changed: context budget lowered from 4096 to 2048 tokens." in told.notes["description"]
    assert told.notes["changes"] == (
        '[{"field":"retrieval.context_budget","old":4096,"new":2048,"change":"lowered",'
        '"documented":true}]'
    )
    assert told.notes["rollback"] == f"synap-hooks maca rollback {INSTANCE} --to {first}"
    made = [f"{call.method} {call.path}" for call in service.sandbox.calls[calls:]]
    assert len(made) == len(set(made)) == 3


def test_each_violation_is_an_alert_of_its_own(services: Serve) -> None:
    """Every rule that fires says what is wrong, where it stands, and what to do."""
    service = services(PROFILE)
    service.active(BOUND)

    service.active(
        {
            "storage": {"retention": {"default_ttl_days": 30}, "graph": {"enabled": False}},
            "retrieval": {"context_budget": 8192},
        },
        mode="immediate",
        reviewer="ann",
    )

    rules = {"retention_shortened", "graph_off", "context_budget", "self_reviewed"}
    rules.add("immediate_in_production")
    assert service.firing == {APPLIED} | {violation(rule) for rule in rules}
    told = service.latest(violation("retention_shortened"))
    assert told.labels["severity"] == "high"
    assert "from 365 to 30 days: the memories of 335 days" in told.notes["summary"]
    assert "Roll back before the next retention run" in told.notes["description"]
    assert told.notes["checklist"] == (
        "production checklist, Memory Architecture 4: Retention policy set"
    )


def test_a_later_configuration_without_the_violation_resolves_it(services: Serve) -> None:
    """An alert stays while the violation does, through other changes, and ends with it."""
    service = services(PROFILE)
    service.active(BOUND)
    service.active({"retrieval": {"context_budget": 8192}})
    service.tick(2)
    service.active({"ingestion": {"chunking": {"overlap": 32}}})
    assert violation("context_budget") in service.firing

    service.active({"retrieval": {"context_budget": 4096}})
    service.tick(5)

    assert service.latest(violation("context_budget")).status == "resolved"
    assert service.firing == {APPLIED}


def test_what_cannot_be_checked_resolves_nothing(services: Serve) -> None:
    """While Synap is down a change is told with what the event says; open alerts stay."""
    service = services(PROFILE)
    service.active(BOUND)
    service.active({"retrieval": {"context_budget": 8192}})
    service.sandbox.faults.standing(Fault(403, b"{}"))

    config_id = service.active({"retrieval": {"context_budget": 4096}}, by="eve")
    service.tick(5)

    assert violation("context_budget") in service.firing
    told = [one for one in service.told if one.labels.get("config_id") == config_id][-1]
    assert "Applied by eve" in told.notes["description"]
    assert "Could not be looked up: the configuration: Synap refused" in told.notes["description"]
    assert "correlation id corr_" in told.notes["description"]


FAULTS = [
    pytest.param(Fault(429, b"{}", {"retry-after": "60"}), "RATE_LIMITED", id="429"),
    pytest.param(Fault(500), "INTERNAL", id="500"),
    pytest.param(Fault(200, b"<html>"), "UNREADABLE", id="garbage"),
    pytest.param(Fault(200, b'{"config_id": 7.5, "storage": 3}'), "", id="wrong types"),
    pytest.param(Fault(hang=60), "TIMED_OUT", id="hanging"),
    pytest.param(Fault(401, b"{}"), "UNAUTHENTICATED", id="a dead key"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_it_ends_in_time_and_says_what_it_lacks(services: Serve, fault: Fault, code: str) -> None:
    """Whatever Synap does, the change is told within the handler's time, and settled once."""
    service = services(PROFILE, SYNAP_HANDLER_TIMEOUT="4s")
    service.sandbox.faults.standing(fault)
    began = time.monotonic()

    service.active(BOUND)

    assert time.monotonic() - began < 4
    told = service.latest(APPLIED).notes["description"]
    assert ("Could not be looked up: " in told and code in told) or not code
    states = service.app.books.snapshot(service.now())
    assert (states.done["config.applied"], states.in_flight["config.applied"]) == (1, 0)


def test_without_a_key_nothing_is_asked(services: Serve) -> None:
    """A service without a key tells what the event says, and that it could not look."""
    service = services(PROFILE, key="")

    service.active(BOUND)

    told = service.latest(APPLIED).notes["description"]
    assert "Could not be looked up: nothing: no API key of Synap is set (SYNAP_API_KEY)" in told
    assert service.sandbox.calls == []


def test_a_duplicate_asks_nothing(services: Serve) -> None:
    """An event that comes twice is looked up once."""
    service = services()
    service.active(BOUND)
    calls = len(service.sandbox.calls)

    service.deliver(service.sandbox.events[-1])

    assert len(service.sandbox.calls) == calls <= 3


def test_disorder_judges_the_latest(services: Serve) -> None:
    """An older change that arrives later is told, but neither fires nor resolves anything."""
    service = services(PROFILE)
    service.active(BOUND)
    service.active({"retrieval": {"context_budget": 8192}}, deliver=False)
    service.active({"retrieval": {"context_budget": 1024}}, deliver=False)
    events = service.sandbox.events[-2:]
    stamps = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"]
    for event, stamp in zip(events, stamps, strict=True):
        event["data"]["applied_at"] = stamp
    newest = service.app.clock() + 60
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(newest))
    events[1]["data"]["applied_at"] = events[1]["timestamp"] = later
    service.sandbox.ahead = 120

    service.deliver(events[1])
    service.deliver(events[0])

    assert violation("context_budget") not in service.firing
    assert service.latest(APPLIED).labels["config_id"] == events[0]["data"]["config_id"]


def test_the_last_version_that_proved_good_is_named(services: Serve) -> None:
    """A version that was clean for the configured time is what the command goes back to."""
    service = services(PROFILE)
    good = service.active(BOUND | {"retrieval": {"context_budget": 2048}})
    service.sandbox.ahead = 3700
    bad = service.active({"retrieval": {"context_budget": 8192}})
    worse = service.active({"storage": {"graph": {"enabled": False}}})

    told = service.latest(violation("graph_off"))
    assert told.notes["config_id"] == worse
    assert told.notes["previous_config_id"] == bad
    assert told.notes["rollback"] == f"synap-hooks maca rollback {INSTANCE} --to {good}"
    assert "the last one that proved good" in told.notes["description"]


def test_a_pinned_version_is_expected(services: Serve) -> None:
    """With a version pinned, any other one is a violation until it is active again or pinned."""
    service = services()
    first = service.active(BOUND)
    console = Console(service)
    assert console("maca", "pin", INSTANCE, first) == 0

    second = service.active({"retrieval": {"context_budget": 2048}})
    assert (
        f"{second} is active, {first} is pinned"
        in (service.latest(violation("not_pinned")).notes["summary"])
    )

    service.sandbox.instance.rollback(first, {"applied_by": "ann"})
    service.deliver(service.sandbox.events[-1])
    service.tick(5)
    assert service.latest(violation("not_pinned")).status == "resolved"


def test_a_rule_that_was_switched_off_lets_go(services: Serve) -> None:
    """The alert of a rule that no longer holds ends with the next configuration."""
    service = services(PROFILE)
    service.active(merged(BOUND, {"storage": {"graph": {"enabled": False}}}))
    off = services(PROFILE + "  rules: {graph_off: {enabled: false}, retention_unlimited: {}}\n")
    assert violation("graph_off") in off.firing

    off.active({"ingestion": {"chunking": {"overlap": 32}}})
    off.tick(5)

    assert off.latest(violation("graph_off")).status == "resolved"


@pytest.mark.parametrize("odd", ["x; rm -rf /", "$(id)", "a b"])
def test_a_command_holds_no_surprises(services: Serve, odd: str) -> None:
    """An id that is none never stands in a command that a person will paste."""
    service = services(key="")
    data = {"config_id": "maca_cfg_2", "previous_config_id": odd}

    service.deliver(service.sandbox.event("config.applied", data))

    told = service.latest(APPLIED)
    assert "rollback" not in told.notes
    assert f"synap-hooks maca versions {INSTANCE}" in told.notes["description"]
