"""Target `msteams`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import orjson
import pytest

from tests.build import NOW, make_alert
from tests.sink import Answer, Sink
from tests.workers.alerting.notifiers.conformance import (
    Conformance,
    Make,
    call,
    gone,
    notification,
    target,
)
from tests.workers.alerting.notifiers.fakes import Limited, teams_problems
from workers.alerting.notification import Notifier, Why
from workers.alerting.notifiers.msteams import MAX_BYTES, SIZES, Msteams, colour, message
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent
from workers.section import DocumentError


class TestMsteams(Conformance):
    """The kit, and what is Teams' own."""

    CALLS_AT: ClassVar[Mapping[int, int]] = {413: 2}

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("msteams", f"webhook_url: '{url}'")

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return the flow's 202."""
        return 202, b""

    def test_a_card_that_is_too_large_is_made_smaller_once(
        self, make: Make, sink: Sink, outbound: Outbound
    ) -> None:
        """Some flows take less than others."""
        sink.answer_next(Answer(413), Answer(202))
        alert = make_alert(annotations={"description": "d" * 3000})

        verdict = make(sink.url).notify(notification(alert), call(outbound))

        first, second = (len(seen.body) for seen in sink.seen)
        assert isinstance(verdict, Sent)
        assert second < first

    def test_a_flow_that_takes_no_card_at_all(
        self, make: Make, sink: Sink, outbound: Outbound
    ) -> None:
        """If the smallest is too large, that is for good."""
        sink.answer(413)

        assert self.tell(make, sink, outbound) == Permanent(Reason.TOO_LARGE, "status 413")

    def test_a_url_that_cannot_be_read_is_tried_again(self, outbound: Outbound) -> None:
        """A secret that is not there yet may come."""
        made = Msteams(webhook_url=gone())

        assert isinstance(made.notify(notification(), call(outbound)), Retry)


@pytest.fixture
def flow() -> Iterator[Limited]:
    """Yield a flow that enforces what Teams takes."""
    fake = Limited(teams_problems, Answer(202, b""))
    yield fake
    fake.close()


@pytest.mark.parametrize("char", ["d", "é", "🎈", '"', "\x01"])
def test_every_card_is_within_the_budget(flow: Limited, outbound: Outbound, char: str) -> None:
    """However much there is to say, the card fits."""
    said = char * 9000
    notes = {
        "summary": said,
        "description": f"{said} Why it matters: {said} What to do: {said}",
        "inspect": said,
        "runbook": said,
        "runbook_url": "https://h/" + "x" * 5000,
        "dashboard_url": "https://h/" + "x" * 900,
    }
    alerts = [make_alert("A", host=f"{n}{said}", annotations=notes) for n in range(60)]

    verdict = target("msteams", f"webhook_url: '{flow.url}'").notify(
        notification(*alerts, truncated=5), call(outbound)
    )

    assert isinstance(verdict, Sent)
    assert flow.refused == []


def test_the_smallest_card_always_fits() -> None:
    """Even where each character takes six bytes."""
    said = "\x01" * 9000
    labels = dict.fromkeys(
        ("stage", "error_code", "credential_id", "instance_id", "severity"), said
    )
    notes = {"summary": said, "description": f"{said} Why it matters: {said} What to do: {said}"}
    alert = make_alert("A", annotations={**notes, "inspect": said, "runbook": said}, **labels)

    assert len(orjson.dumps(message(notification(alert), SIZES[-1]))) <= MAX_BYTES


@pytest.mark.parametrize(
    ("severity", "over", "expected"),
    [
        ("critical", False, "Attention"),
        ("medium", False, "Warning"),
        ("critical", True, "Good"),
    ],
)
def test_the_colour_says_how_bad_it_is(severity: str, expected: str, *, over: bool) -> None:
    """Red, amber, green."""
    alert = make_alert(severity=severity, ends_at=NOW if over else None)

    assert colour(notification(alert, why=Why.ALL_RESOLVED)) == expected


def test_text_of_events_is_no_link() -> None:
    """What an event says is text: Teams would read Markdown in it."""
    alert = make_alert(annotations={"summary": "[click](https://evil)"})

    card = orjson.dumps(message(notification(alert), SIZES[0]))

    assert b"](" not in card


def test_links_can_be_opened() -> None:
    """Runbooks and dashboards are buttons."""
    alert = make_alert(annotations={"runbook_url": "https://r/1"})

    (attachment,) = message(notification(alert), SIZES[0])["attachments"]

    assert attachment["content"]["actions"] == [
        {"type": "Action.OpenUrl", "title": "Runbook", "url": "https://r/1"}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "one of webhook_url or webhook_url_file", id="no-url"),
        pytest.param("{webhook_url: x}", "http or https URL", id="url"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("msteams", text)
