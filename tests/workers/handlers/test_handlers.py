"""What holds for every handler, whatever the sender writes."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.event import KINDS, KNOWN_TYPES, UNKNOWN
from tests.build import INSTANCE, NOW, SAMPLES
from tests.workers.handlers.events import CONTEXT, decide, event_of
from workers.alert import Alert
from workers.handlers import HANDLERS, Decision, Severity
from workers.handlers.decision import RUNBOOK
from workers.handlers.fields import LABEL_CHARS

FIELDS = [
    *sorted({name for sample in SAMPLES.values() for name in sample}),
    "code",
    "error",
    "key_id",
    "expires_at",
    "rollback_config_id",
    "applied_at",
    "memories_total",
    "started_at",
    "completed_at",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=12)
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    2**70,
    "",
    "\x00",
    "x" * 9000,
    [],
    [1],
    {},
    {"code": {}},
)


def well_formed(alert: Alert) -> bool:
    """Say whether labels and annotations are bounded, visible text and the times are times."""
    texts = [*alert.labels.values(), *alert.annotations.values()]
    return (
        all(0 < len(label) <= LABEL_CHARS for label in alert.labels.values())
        and all(unicodedata.category(sign) not in ("Cc", "Cs") for text in texts for sign in text)
        and all(len(text) < 4000 for text in texts)
        and alert.starts_at <= NOW
        and alert.ends_at is not None
        and alert.from_wire(alert.to_wire()) == alert
        and bool(alert.fingerprint)
    )


def test_every_kind_has_a_handler() -> None:
    """The handlers are exactly those of the counted kinds."""
    assert set(HANDLERS) == set(KINDS)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(KINDS), data=DATA, at=st.floats(-6e10, NOW + 300))
def test_no_data_makes_a_handler_fail(kind: str, data: dict[str, Any], at: float) -> None:
    """Any JSON object as data gives a decision with well formed alerts."""
    event = event_of(kind)._replace(data=data, timestamp=at)

    decision = HANDLERS[kind](event, CONTEXT)

    assert all(well_formed(alert) for alert in decision.alerts)
    assert decision.summary.isprintable()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_odd_types_of_any_field(kind: str, field: str) -> None:
    """Each field alone may be of any type and size."""
    for value in ODD:
        event = event_of(kind)._replace(data={**SAMPLES[kind], field: value})
        decision = HANDLERS[kind](event, CONTEXT)

        assert all(well_formed(alert) for alert in decision.alerts), value


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_an_empty_event_still_alerts(kind: str) -> None:
    """With every field missing the alert says unknown and keeps its name."""
    alert, *_ = decide(kind).alerts

    assert alert.labels["alertname"].startswith("Synap")
    assert alert.labels["event_type"] == kind
    assert alert.labels["instance_id"] == "unknown"
    assert alert.annotations["correlation_id"] == "unknown"
    assert not alert.resolved(NOW)


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_each_missing_field_alone(kind: str) -> None:
    """Leaving out any one field of a full sample leaves one alert that fires."""
    for field in SAMPLES[kind]:
        data = {name: value for name, value in SAMPLES[kind].items() if name != field}
        decision = decide(kind, data)

        assert [a.resolved(NOW) for a in decision.alerts].count(False) == 1, field


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_what_on_call_reads(kind: str) -> None:
    """Every alert says what happened, why it matters, what to do, and where to read on."""
    alert, *_ = decide(kind, SAMPLES[kind], instance_id=INSTANCE, correlation_id="corr_1").alerts

    assert alert.labels["severity"] in set(Severity)
    assert alert.labels["instance_id"] == INSTANCE
    assert INSTANCE in alert.annotations["summary"]
    assert "Why it matters: " in alert.annotations["description"]
    assert "What to do: " in alert.annotations["description"]
    assert alert.annotations["runbook"] == RUNBOOK + alert.name.lower()
    assert alert.annotations["correlation_id"] == "corr_1"
    assert alert.annotations["event_id"] == "evt_1"
    assert alert.annotations["inspect"].startswith("synap-hooks events show ")


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_the_same_event_gives_the_same_alerts(kind: str) -> None:
    """A second run of a handler over the same event adds nothing new."""
    one, other = decide(kind, SAMPLES[kind]), decide(kind, SAMPLES[kind])

    assert one._replace(burst=None) == other._replace(burst=None)
    if one.burst and other.burst:
        assert one.burst[:-1] == other.burst[:-1]
        assert one.burst.alerts() == other.burst.alerts()


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_alerts_are_dated_by_the_event(kind: str) -> None:
    """Order of arrival is approximate: the event's own time dates the alert, never the future."""
    old, early = decide(kind, at=NOW - 600), decide(kind, at=NOW + 200)

    assert {(a.starts_at, a.updated_at) for a in old.alerts} == {(NOW - 600, NOW - 600)}
    assert {(a.starts_at, a.updated_at) for a in early.alerts} == {(NOW, NOW)}


@pytest.mark.parametrize("kind", KNOWN_TYPES)
def test_no_credential_reaches_an_alert(kind: str) -> None:
    """A key in any field of an event is masked in every label and annotation."""
    secret = "synap_" + "k3y" * 20
    event = event_of(kind, dict.fromkeys(FIELDS, secret), instance_id=secret, event_id=secret)

    decision = HANDLERS[kind](event, CONTEXT)
    in_bulk = decision.burst.alerts() if decision.burst else ()

    assert "k3yk3y" not in repr((decision, in_bulk))
    assert "synap_***" in repr(decision)


@pytest.mark.parametrize(
    "event_type",
    [
        pytest.param("memory.created", id="a later type"),
        pytest.param("synap-hooks.test", id="test"),
    ],
)
def test_unknown_types_are_listed_only(event_type: str) -> None:
    """A type that this release does not know alerts nobody."""
    assert event_of(event_type).kind == UNKNOWN
    assert decide(event_type, {"a": 1}) == Decision((), "unknown type, listed")
