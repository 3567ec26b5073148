"""Target `datadog`."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from tests.build import INSTANCE, NOW, make_alert
from tests.sink import Answer, Sink
from tests.workers.alerting.notifiers.conformance import (
    CANARY,
    Conformance,
    Make,
    call,
    gone,
    notification,
    target,
)
from tests.workers.alerting.notifiers.fakes import Limited, datadog_problems
from workers.alerting.notification import Notifier, Why
from workers.alerting.notifiers.datadog import Datadog
from workers.outbound import Outbound, Reason, Retry, Sent
from workers.section import DocumentError

TAKEN = b'{"data":{"attributes":{"attributes":{"evt":{"id":"1","uid":"AQ"}}}}}'


def one(url: str, more: str = "") -> Datadog:
    """Return a target as an entry in a configuration describes it."""
    made = target("datadog", f"{{api_key: {CANARY}, url: '{url}'{more}}}")
    assert isinstance(made, Datadog)
    return made


class TestDatadog(Conformance):
    """The kit, and what is Datadog's own."""

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return one(url.removesuffix(f"/{CANARY}"))

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return Datadog's 202."""
        return 202, TAKEN

    def test_the_event_s_id_is_kept(self, sink: Sink, outbound: Outbound) -> None:
        """A person can find the event by it; the key is in its header."""
        sink.answer(202, TAKEN)

        assert one(sink.url).notify(notification(), call(outbound)) == Sent("AQ")
        assert sink.seen[0].headers["dd-api-key"] == CANARY

    def test_the_rate_limit_s_reset_is_waited_for(self, sink: Sink, outbound: Outbound) -> None:
        """D2: Datadog says in its own header when the limit is over."""
        sink.answer(429, headers={"X-RateLimit-Reset": "9"})

        verdict = one(sink.url).notify(notification(), call(outbound))

        assert verdict == Retry(Reason.RATE_LIMITED, "status 429", 9.0)

    def test_a_change_is_told_once(self, sink: Sink, outbound: Outbound) -> None:
        """A configuration that was applied is a change event, each once, and has no end."""
        sink.answer(202)
        made = one(sink.url)
        applied = make_alert("Applied", event_type="config.applied", config_id="c2")
        over = make_alert("Applied", event_type="config.applied", config_id="c2", ends_at=NOW)

        first = made.notify(notification(applied), call(outbound))
        assert isinstance(first, Sent)
        made.notify(notification(applied, why=Why.REPEAT), call(outbound, first.memory))
        made.notify(notification(over, why=Why.ALL_RESOLVED), call(outbound, first.memory))

        assert len(sink.seen) == 1

    def test_a_change_that_fails_is_not_remembered(self, sink: Sink, outbound: Outbound) -> None:
        """What Datadog did not take is told in another attempt."""
        sink.answer(500)
        told = notification(make_alert("Applied", event_type="config.applied"))

        assert one(sink.url).notify(told, call(outbound)) == Retry(
            Reason.SERVER_ERROR, "status 500"
        )


@pytest.fixture
def intake() -> Iterator[Limited]:
    """Yield an intake that enforces Datadog's limits."""
    fake = Limited(datadog_problems, Answer(202, TAKEN))
    yield fake
    fake.close()


@pytest.mark.parametrize("event_type", ["ingestion.failed", "config.applied"])
def test_every_event_is_within_the_limits(
    intake: Limited, outbound: Outbound, event_type: str
) -> None:
    """However much there is to say, Datadog takes it."""
    labels = {f"label{n}": "v" * 300 for n in range(150)} | {"host": "h" * 400}
    notes = {"summary": "s" * 900, "description": "d" * 9000, "applied_by": "x" * 200}
    notes |= {"runbook_url": "https://r/1"}
    alert = make_alert("A" * 300, event_type=event_type, annotations=notes, **labels)
    long = notification(alert, dedup_key="k" * 120)

    verdict = one(intake.url, ", tags: [team:mem]").notify(long, call(outbound))

    assert isinstance(verdict, Sent)
    assert intake.refused == []


def test_a_change_event() -> None:
    """What changed, who did it and what it touches are fields of their own."""
    alert = make_alert(
        "Applied",
        event_type="config.applied",
        config_id="c2",
        previous_config_id="c1",
        annotations={"applied_by": "dana", "description": "long"},
    )

    event = one("http://h/").change(notification(alert), NOW)["data"]["attributes"]

    assert (event["category"], event["title"]) == ("change", "A document failed")
    assert event["attributes"] == {
        "changed_resource": {"name": "c2", "type": "configuration"},
        "impacted_resources": [{"name": INSTANCE, "type": "service"}],
        "change_metadata": {**alert.labels, "summary": "A document failed", "applied_by": "dana"},
        "author": {"name": "dana", "type": "user"},
        "prev_value": {"config_id": "c1"},
        "new_value": {"config_id": "c2"},
    }


@pytest.mark.parametrize(
    ("severity", "status", "priority"),
    [
        ("critical", "error", "1"),
        ("high", "error", "2"),
        ("medium", "warn", "3"),
        ("low", "warn", "4"),
        ("info", "ok", "5"),
        ("strange", "error", "2"),
        ("page", "warn", "2"),
    ],
)
def test_severity(severity: str, status: str, priority: str) -> None:
    """Our severities are said in Datadog's words, by a table."""
    made = one("http://h/", ", statuses: {page: warn}")

    event = made.alert(notification(make_alert(severity=severity)), NOW)

    about = event["data"]["attributes"]["attributes"]
    assert (about["status"], about["priority"]) == (status, priority)


def test_the_end_is_ok() -> None:
    """A group that is over is an event of status ok with the same aggregation key."""
    over = notification(make_alert(ends_at=NOW), why=Why.ALL_RESOLVED)

    event = one("http://h/").alert(over, NOW)["data"]["attributes"]

    assert (event["attributes"]["status"], event["aggregation_key"]) == ("ok", "d" * 64)


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        pytest.param(0.0, "2027-01-15T08:00:00.000Z", id="in-time"),
        pytest.param(86_400.0, "2027-01-16T08:00:00.000Z", id="replayed-a-day-later"),
    ],
)
def test_old_news_is_dated_now(late: float, expected: str) -> None:
    """Datadog refuses what is older than 18 hours."""
    event = one("http://h/").alert(notification(), NOW + late)

    assert event["data"]["attributes"]["timestamp"] == expected


def test_the_site_names_the_url() -> None:
    """Each site has its own intake."""
    made = target("datadog", "{api_key: k, site: datadoghq.eu}")

    assert isinstance(made, Datadog)
    assert made.url == "https://event-management-intake.datadoghq.eu/api/v2/events"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "one of api_key or api_key_file", id="no-key"),
        pytest.param("{api_key: k, url: x}", "http or https URL", id="url"),
        pytest.param("{api_key: k, statuses: {a: bad}}", '"bad" is no status', id="status"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("datadog", text)


def test_a_key_that_cannot_be_read_is_tried_again(outbound: Outbound) -> None:
    """A secret that is not there yet may come."""
    made = Datadog(api_key=gone(), url="http://127.0.0.1:1/")

    assert isinstance(made.notify(notification(), call(outbound)), Retry)


def test_links_are_named() -> None:
    """Runbooks and dashboards are what Datadog calls them."""
    alert = make_alert(annotations={"runbook_url": "https://r/", "dashboard_url": "https://d/"})

    event = one("http://h/").alert(notification(alert), NOW)

    links = orjson.loads(orjson.dumps(event))["data"]["attributes"]["attributes"]["links"]
    assert [(link["category"], link["url"]) for link in links] == [
        ("runbook", "https://r/"),
        ("dashboard", "https://d/"),
    ]
