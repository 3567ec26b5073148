"""Target `pagerduty`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from tests.build import INSTANCE, NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.notifiers.conformance import (
    CANARY,
    Conformance,
    Make,
    call,
    gone,
    notification,
    target,
)
from workers.alerting.notification import Notifier, Why
from workers.alerting.notifiers import Ambient
from workers.alerting.notifiers.pagerduty import (
    MAX_BYTES,
    URL,
    Pagerduty,
    details,
    digest,
    encode,
    links,
)
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent

KEY = f"{CANARY}{CANARY}"
DETAILS = {
    "group": '{}:{alertname="A"}',
    "num_firing": 1,
    "num_resolved": 0,
    "alertname": "A",
    "severity": "warning",
    "event_type": "ingestion.failed",
    "instance_id": INSTANCE,
    "summary": "A document failed",
    "firing": (
        f"alertname: A\nseverity: warning\nevent_type: ingestion.failed\ninstance_id: {INSTANCE}"
        "\nsummary: A document failed"
    ),
}


def one(url: str = URL, **more: str) -> Pagerduty:
    """Return a target as an entry in a configuration describes it."""
    fields = {"routing_key": KEY, "url": url, **more}
    made = target("pagerduty", orjson.dumps(fields).decode())
    assert isinstance(made, Pagerduty)
    return made


class TestPagerduty(Conformance):
    """The kit, and what is PagerDuty's own."""

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return one(url)

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return PagerDuty's 202."""
        return 202, b'{"status":"success","message":"Event processed","dedup_key":"d1"}'

    def test_what_is_remembered(
        self, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """D10: a success leaves PagerDuty's id and a digest of the key that it went through."""
        sink.answer(*taken)

        verdict = one(sink.url).notify(notification(), call(outbound))

        assert verdict == Sent("d1", {"routing": digest(KEY)})
        assert KEY not in repr(verdict)

    def test_a_resolve_goes_through_the_key_of_its_trigger(
        self, sink: Sink, outbound: Outbound
    ) -> None:
        """D10: after a change of the key the old incident is closed where it was opened."""
        sink.answer(202)
        made = one(sink.url, routing_key="new", previous_routing_key="old")
        over = notification(make_alert("A", ends_at=NOW), why=Why.ALL_RESOLVED)

        for memory in ({"routing": digest("old")}, {"routing": digest("gone")}, {}):
            made.notify(over, call(outbound, memory))

        keys = [orjson.loads(seen.body)["routing_key"] for seen in sink.seen]
        assert keys == ["old", "new", "new"]

    def test_a_refusal_says_why_without_the_key(self, sink: Sink, outbound: Outbound) -> None:
        """PagerDuty's message is kept, cleared of the key it may repeat."""
        sink.answer(400, orjson.dumps({"message": f"bad key {KEY}", "status": "invalid event"}))

        verdict = one(sink.url).notify(notification(), call(outbound))

        assert verdict == Permanent(Reason.CLIENT_ERROR, "status 400 bad key <redacted>")

    def test_a_key_that_cannot_be_read_is_tried_again(self, outbound: Outbound) -> None:
        """A secret that is not there yet may come."""
        verdict = Pagerduty(routing_key=gone()).notify(notification(), call(outbound))

        assert isinstance(verdict, Retry)


def test_a_trigger() -> None:
    """A firing group is a trigger with everything a responder needs first."""
    alert = make_alert("A", annotations={"runbook_url": "https://runbooks/a"})

    assert one().event(notification(alert), "k") == {
        "routing_key": "k",
        "event_action": "trigger",
        "dedup_key": "d" * 64,
        "client": "synap-hooks",
        "client_url": "https://hooks.example/",
        "links": [{"href": "https://runbooks/a", "text": "Runbook"}],
        "payload": {
            "summary": "A document failed",
            "source": INSTANCE,
            "severity": "warning",
            "timestamp": "2027-01-15T08:00:00.000+00:00",
            "group": "A",
            "class": "ingestion.failed",
            "custom_details": {
                **DETAILS,
                "runbook_url": "https://runbooks/a",
                "firing": DETAILS["firing"] + "\nrunbook_url: https://runbooks/a",  # type: ignore[operator]
            },
        },
    }


def test_a_resolve() -> None:
    """A group that is over is a resolve with the same dedup key and nothing else."""
    over = notification(make_alert("A", ends_at=NOW), why=Why.ALL_RESOLVED)

    assert one().event(over, "k") == {
        "routing_key": "k",
        "event_action": "resolve",
        "dedup_key": "d" * 64,
    }


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        pytest.param(["critical"], "critical", id="critical"),
        pytest.param(["high"], "error", id="high"),
        pytest.param(["medium"], "warning", id="medium"),
        pytest.param(["low"], "info", id="low"),
        pytest.param(["info"], "info", id="info"),
        pytest.param(["strange"], "error", id="unknown"),
        pytest.param(["info", "high", "low"], "error", id="worst-wins"),
    ],
)
def test_severity(severities: list[str], expected: str) -> None:
    """Our severities are said in PagerDuty's words; the worst that fires counts."""
    alerts = [make_alert("A", severity=severity) for severity in severities]

    assert one().event(notification(*alerts), "k")["payload"]["severity"] == expected


def test_the_severities_are_a_table_in_the_configuration() -> None:
    """An entry may say its own severities."""
    made = target("pagerduty", "routing_key: k\nseverities: {page: critical}\n")
    assert isinstance(made, Pagerduty)
    event = made.event(notification(make_alert(severity="page")), "k")

    assert event["payload"]["severity"] == "critical"


def test_the_environment_names_key_and_url() -> None:
    """What an entry leaves out comes from its surroundings."""
    made = target("pagerduty", "{}", Ambient(SecretStr("env"), None, "http://pd/"))

    assert isinstance(made, Pagerduty)
    assert (made.routing_key.reveal(), made.url) == ("env", "http://pd/")


def test_links_are_urls_and_stand_once() -> None:
    """Only what can be opened is a link."""
    alerts = [
        make_alert("A", host=host, annotations={"runbook": runbook, "runbook_url": "https://r/1"})
        for host, runbook in (("1", "README.md#a"), ("2", "https://r/2"))
    ]

    assert [link["href"] for link in links(notification(*alerts))] == ["https://r/1", "https://r/2"]


def test_details_of_a_group() -> None:
    """A responder sees what all alerts share, and each alert."""
    assert details(notification()) == DETAILS


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        pytest.param({"small": "s" * 50, "big": "b" * 900_000}, {"small": "s" * 50}, id="biggest"),
        pytest.param({"n": 5, "big": "é" * 900_000}, {"n": 5}, id="wide-characters"),
    ],
)
def test_the_biggest_details_shrink_first(held: dict[str, Any], kept: Mapping[str, Any]) -> None:
    """D7: what does not fit is shortened from the biggest on; small fields stay whole."""
    body = encode({"event_action": "trigger", "payload": {"custom_details": dict(held)}})

    found = orjson.loads(body)["payload"]["custom_details"]
    assert len(body) <= MAX_BYTES
    assert {name: found[name] for name in kept} == kept
    assert found["big"].endswith("…")
    assert len(found["big"]) > 10_000


def test_details_of_countless_fields_give_way_to_a_note() -> None:
    """D7: when no field is big but all together are, a note stands for them."""
    held = {str(number): "x" * 40 for number in range(20_000)}

    body = encode({"event_action": "trigger", "payload": {"custom_details": held}})

    assert orjson.loads(body)["payload"]["custom_details"] == {
        "error": "the details were too large"
    }


def test_the_summary_is_cut() -> None:
    """PagerDuty takes 1024 characters of summary."""
    alert = make_alert(annotations={"summary": "x" * 3000})

    summary = one().event(notification(alert), "k")["payload"]["summary"]

    assert (len(summary), summary[-1]) == (1024, "…")
