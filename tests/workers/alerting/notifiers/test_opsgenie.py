"""Target `opsgenie`; test_incidents.py tells its stories."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from tests.build import INSTANCE, NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.notifiers.conformance import (
    CANARY,
    Conformance,
    Make,
    call,
    notification,
    target,
)
from tests.workers.alerting.notifiers.fakes import FakeOpsgenie
from workers.alerting.notification import Notifier, Why
from workers.alerting.notifiers.opsgenie import BASES, Opsgenie
from workers.outbound import Outbound, Sent
from workers.section import DocumentError

GROUP = "d" * 64


class TestOpsgenie(Conformance):
    """The kit, and what is Opsgenie's own."""

    READS = True

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("opsgenie", f"{{api_key: {CANARY}, api_url: '{url}'}}")

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return Opsgenie's 202."""
        return 202, b'{"result":"Request will be processed","took":0.1,"requestId":"r1"}'

    def test_the_request_s_id_is_kept(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """What became of a queued request can be asked by its id."""
        sink.answer(*taken)

        verdict = make(sink.url).notify(notification(), call(outbound))

        assert isinstance(verdict, Sent)
        assert verdict.note == "r1"
        assert sink.seen[0].headers["authorization"] == f"GenieKey {CANARY}"


@pytest.fixture
def genie() -> Iterator[FakeOpsgenie]:
    """Yield an Opsgenie of our own."""
    fake = FakeOpsgenie()
    yield fake
    fake.close()


def test_an_alert_is_within_the_limits(genie: FakeOpsgenie, outbound: Outbound) -> None:
    """However much there is to say, Opsgenie takes it."""
    labels = {f"label{n}": "v" * 300 for n in range(40)} | {"instance_id": "i" * 600}
    alert = make_alert("A" * 400, annotations={"description": "d" * 20_000}, **labels)
    made = target("opsgenie", f"{{api_key: k, api_url: '{genie.url}', tags: [{'t' * 90}]}}")

    assert isinstance(made.notify(notification(alert), call(outbound)), Sent)
    assert genie.refused == []


def test_an_alert_says_who_is_called(genie: FakeOpsgenie, outbound: Outbound) -> None:
    """Responders, tags and priorities come from the configuration."""
    made = target(
        "opsgenie",
        f"{{api_key: k, api_url: '{genie.url}', tags: [synap], priorities: {{page: P1}},"
        " responders: [{type: team, name: ops}, {type: user, username: a@b}]}",
    )

    made.notify(notification(make_alert("A", severity="page")), call(outbound))

    body = orjson.loads(genie.seen[0].body)
    assert body["responders"] == [
        {"type": "team", "name": "ops"},
        {"type": "user", "username": "a@b"},
    ]
    assert (body["alias"], body["priority"], body["entity"]) == (GROUP, "P1", INSTANCE)
    assert body["tags"][:2] == ["synap", "alertname:A"]
    assert body["message"] == "A document failed"


def test_a_close_says_why(genie: FakeOpsgenie, outbound: Outbound) -> None:
    """An alert is closed by its alias, with a note."""
    genie.open[GROUP] = "P3"
    made = target("opsgenie", f"{{api_key: k, api_url: '{genie.url}'}}")
    over = notification(make_alert("A", ends_at=NOW), why=Why.ALL_RESOLVED)

    made.notify(over, call(outbound))

    assert genie.seen[0].path == f"/v2/alerts/{GROUP}/close?identifierType=alias"
    assert orjson.loads(genie.seen[0].body)["source"] == "synap-hooks"
    assert genie.open == {}


@pytest.mark.parametrize(
    ("product", "base"),
    [
        ("opsgenie", "https://api.opsgenie.com"),
        ("opsgenie-eu", "https://api.eu.opsgenie.com"),
        ("jsm", "https://api.atlassian.com/jsm/ops/integration"),
    ],
)
def test_the_product_names_the_url(product: str, base: str) -> None:
    """One target speaks to Opsgenie and to Jira Service Management."""
    made = target("opsgenie", f"{{api_key: k, product: {product}}}")

    assert isinstance(made, Opsgenie)
    assert made.url == base == BASES[product]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "one of api_key or api_key_file", id="no-key"),
        pytest.param("{api_key: k, api_url: x}", "http or https URL", id="url"),
        pytest.param("{api_key: k, priorities: {a: P9}}", '"P9" is no priority', id="priority"),
        pytest.param(
            "{api_key: k, responders: [{type: dog, name: x}]}", '"type" must be one', id="type"
        ),
        pytest.param(
            "{api_key: k, responders: [{type: team}]}", "exactly one of id, name", id="unnamed"
        ),
        pytest.param(
            "{api_key: k, responders: [" + "{type: team, name: x}, " * 51 + "]}",
            "at most 50 responders",
            id="responders",
        ),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("opsgenie", text)
