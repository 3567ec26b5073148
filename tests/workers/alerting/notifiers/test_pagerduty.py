"""Target `pagerduty`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from workers.alert import Alert
from workers.alerting.notification import Notification, Notifier, Why
from workers.alerting.notifiers import Ambient
from workers.alerting.notifiers.incidents import Act, Incident
from workers.alerting.notifiers.pagerduty import (
    MAX_BYTES,
    REGIONS,
    URL,
    Pagerduty,
    details,
    digest,
    encode,
)
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent
from workers.section import DocumentError

KEY = f"{CANARY}{CANARY}"
GROUP = "d" * 64


def one(url: str = URL, **more: str | bool | dict[str, str]) -> Pagerduty:
    """Return a target as an entry in a configuration describes it."""
    fields = {"routing_key": KEY, "url": url, **more}
    made = target("pagerduty", orjson.dumps(fields).decode())
    assert isinstance(made, Pagerduty)
    return made


def trigger(told: Notification, severity: str = "warning") -> Act:
    """Return the act that opens the group's incident."""
    return Act("trigger", GROUP, Incident(GROUP, severity), told)


def bodies(sink: Sink) -> list[dict[str, Any]]:
    """Return what PagerDuty was told."""
    return [orjson.loads(seen.body) for seen in sink.seen]


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
        """D10: a success leaves PagerDuty's id, what is open, and a digest of the key."""
        sink.answer(*taken)

        verdict = one(sink.url).notify(notification(), call(outbound))

        held = orjson.dumps({GROUP: [GROUP, "warning", digest(KEY)]}).decode()
        assert verdict == Sent("d1", {"open": held})
        assert KEY not in repr(verdict)

    @pytest.mark.parametrize(
        ("opened_by", "expected"),
        [("old", "old"), ("new", "new"), ("lost", "new")],
    )
    def test_a_resolve_goes_through_the_key_of_its_trigger(
        self, sink: Sink, outbound: Outbound, opened_by: str, expected: str
    ) -> None:
        """D10: after a change of the key the old incident is closed where it was opened."""
        sink.answer(202)
        made = one(sink.url, routing_key="new", previous_routing_key="old")
        over = notification(make_alert("A", ends_at=NOW), why=Why.ALL_RESOLVED)
        held = orjson.dumps({GROUP: [GROUP, "warning", digest(opened_by)]}).decode()

        verdict = made.notify(over, call(outbound, {"open": held}))

        assert bodies(sink) == [
            {"routing_key": expected, "event_action": "resolve", "dedup_key": GROUP}
        ]
        assert verdict == Sent("", {"open": "{}"})

    def test_a_refusal_says_why_without_the_key(self, sink: Sink, outbound: Outbound) -> None:
        """PagerDuty's message is kept, cleared of the key it may repeat."""
        sink.answer(400, orjson.dumps({"message": f"bad key {KEY}", "status": "invalid event"}))

        verdict = one(sink.url).notify(notification(), call(outbound))

        assert verdict == Permanent(Reason.CLIENT_ERROR, "status 400 bad key <redacted>")

    def test_a_key_that_cannot_be_read_is_tried_again(self, outbound: Outbound) -> None:
        """A secret that is not there yet may come."""
        made = Pagerduty(routing_key=gone())

        assert isinstance(made.notify(notification(), call(outbound)), Retry)
        assert made.account == "/nowhere/c4nary"

    def test_an_acknowledgement(self, sink: Sink, outbound: Outbound) -> None:
        """Somebody took it on: what is open is acknowledged, and stays open."""
        sink.answer(202)
        held = {"open": orjson.dumps({"k": [GROUP, "error", digest(KEY)]}).decode()}
        told = notification(why=Why.ACKNOWLEDGED)

        verdict = one(sink.url).notify(told, call(outbound, held))

        assert bodies(sink) == [
            {"routing_key": KEY, "event_action": "acknowledge", "dedup_key": "k"}
        ]
        assert verdict == Sent("", held)
        assert one(sink.url).acknowledges

    def test_a_change_is_told_once(self, sink: Sink, outbound: Outbound) -> None:
        """Change events have their own address and no dedup key: what was told is remembered."""
        sink.answer(202)
        made = one(f"{sink.url}/v2/enqueue", change_events=True)
        alert = make_alert("Applied", annotations={"runbook_url": "https://r/1"})

        first = made.notify(notification(alert), call(outbound))
        assert isinstance(first, Sent)
        more = notification(alert, make_alert("Applied", config_id="c2"))
        second = made.notify(more, call(outbound, first.memory))

        assert isinstance(second, Sent)
        assert [seen.path for seen in sink.seen] == ["/v2/change/enqueue"] * 2
        assert bodies(sink)[0] == {
            "routing_key": KEY,
            "payload": {
                "summary": "A document failed",
                "source": INSTANCE,
                "timestamp": "2027-01-15T08:00:00.000Z",
                "custom_details": {**alert.labels, **alert.annotations},
            },
            "links": [{"href": "https://r/1", "text": "Runbook"}],
        }
        assert (made.send_resolved, made.stateful, made.idempotent) == (False, False, False)

    def test_a_change_that_fails_is_not_remembered(self, sink: Sink, outbound: Outbound) -> None:
        """What PagerDuty did not take is told in another attempt."""
        sink.answer(500)

        verdict = one(sink.url, change_events=True).notify(notification(), call(outbound))

        assert verdict == Retry(Reason.SERVER_ERROR, "status 500")


def test_a_trigger() -> None:
    """A firing group is a trigger with everything a responder needs first."""
    alert = make_alert(
        "A", annotations={"runbook_url": "https://r/a", "image_url": "https://i/a.png"}
    )

    assert one(details={"team": "memory"}).event(trigger(notification(alert)), "k") == {
        "routing_key": "k",
        "event_action": "trigger",
        "dedup_key": GROUP,
        "client": "synap-hooks",
        "client_url": "https://hooks.example/",
        "links": [{"href": "https://r/a", "text": "Runbook"}],
        "images": [{"src": "https://i/a.png", "alt": "A"}],
        "payload": {
            "summary": "A document failed",
            "source": INSTANCE,
            "severity": "warning",
            "timestamp": "2027-01-15T08:00:00.000Z",
            "group": "A",
            "class": "ingestion.failed",
            "custom_details": {**details(notification(alert)), "team": "memory"},
        },
    }


def test_details_of_a_group() -> None:
    """A responder sees since when, what all alerts share, and each alert."""
    assert details(notification()) == {
        "when": "since 2027-01-15 08:00 UTC (0 s)",
        "summary": "A document failed",
        "alertname": "A",
        "severity": "warning",
        "event_type": "ingestion.failed",
        "instance_id": INSTANCE,
        "num_firing": 1,
        "num_resolved": 0,
        "group": '{}:{alertname="A"}',
        "firing": (
            "alertname: A\nseverity: warning\nevent_type: ingestion.failed\n"
            f"instance_id: {INSTANCE}\nsummary: A document failed"
        ),
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
        pytest.param(["page"], "critical", id="configured"),
    ],
)
def test_severity(sink: Sink, outbound: Outbound, severities: Sequence[str], expected: str) -> None:
    """Our severities are said in PagerDuty's words, by a table; the worst that fires counts."""
    sink.answer(202)
    alerts: list[Alert] = [make_alert("A", severity=severity) for severity in severities]

    one(sink.url, severities={"page": "critical"}).notify(notification(*alerts), call(outbound))

    assert bodies(sink)[0]["payload"]["severity"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{}", "http://pd/", id="surroundings"),
        pytest.param("url: http://own/", "http://own/", id="own"),
    ],
)
def test_the_environment_names_key_and_url(text: str, expected: str) -> None:
    """What an entry leaves out comes from its surroundings."""
    made = target("pagerduty", text, Ambient(SecretStr("env"), None, "http://pd/"))

    assert isinstance(made, Pagerduty)
    assert (made.routing_key.reveal(), made.url) == ("env", expected)


def test_the_region_names_the_url() -> None:
    """Accounts of the EU have their own address."""
    made = target("pagerduty", "{routing_key: k, region: eu}")

    assert isinstance(made, Pagerduty)
    assert made.url == REGIONS["eu"] == "https://events.eu.pagerduty.com/v2/enqueue"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "one of routing_key, routing_key_file or", id="no-key"),
        pytest.param("{routing_key: k, region: mars}", "must be one of us, eu", id="region"),
        pytest.param("{routing_key: k, dedup_by: x}", "must be one of group, alert", id="dedup"),
        pytest.param("{routing_key: k, severities: {a: bad}}", "no severity", id="severity"),
        pytest.param("{routing_key: k, url: ftp://x}", "http or https URL", id="url"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("pagerduty", text)


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
