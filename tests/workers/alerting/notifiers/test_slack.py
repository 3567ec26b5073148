"""Target `slack`."""

from __future__ import annotations

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.notifiers.conformance import (
    Conformance,
    Make,
    call,
    gone,
    notification,
    target,
)
from workers.alerting.notification import Notifier, Why
from workers.alerting.notifiers import Ambient
from workers.alerting.notifiers.slack import Slack, message
from workers.outbound import Outbound, Reason, Retry
from workers.section import Secret


class TestSlack(Conformance):
    """The kit, and what is Slack's own."""

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("slack", f"api_url: '{url}'")

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return Slack's 200."""
        return 200, b"ok"

    def test_a_200_without_ok_is_unreadable(
        self, make: Make, sink: Sink, outbound: Outbound
    ) -> None:
        """A 200 whose body is not `ok` may come from anyone in between."""
        sink.answer(200, b"<html>")

        verdict = self.tell(make, sink, outbound)

        assert verdict == Retry(Reason.OTHER, "unreadable answer", ambiguous=True)

    def test_a_url_that_cannot_be_read_is_tried_again(self, outbound: Outbound) -> None:
        """A secret that is not there yet may come."""
        assert isinstance(Slack(api_url=gone()).notify(notification(), call(outbound)), Retry)


def test_the_message_is_within_slack_s_limits() -> None:
    """Headline 150 characters, sections 3000, at most 3 alerts."""
    alerts = [
        make_alert("A", host=str(n), annotations={"summary": "s" * 500, "description": "d" * 9000})
        for n in range(9)
    ]

    blocks = message(notification(*alerts))["blocks"]

    assert len(blocks) == 4
    assert len(blocks[0]["text"]["text"]) == 150
    assert max(len(block["text"]["text"]) for block in blocks[1:]) <= 3000


def test_text_of_events_pings_nobody() -> None:
    """What an event says is text, never a mention or a link."""
    alert = make_alert(annotations={"summary": "<!channel> & <@U1>"})

    told = message(notification(alert))

    assert "<" not in told["text"]
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in told["blocks"][1]["text"]["text"]


def test_the_end_is_said() -> None:
    """A group that is over says so first."""
    told = message(notification(make_alert(ends_at=NOW), why=Why.ALL_RESOLVED))

    assert told["text"] == "[RESOLVED] A document failed"


def test_the_general_section_names_a_url() -> None:
    """An entry without a URL uses the one for all."""
    made = target("slack", "{}", Ambient(slack_api_url=Secret(file=gone().file)))

    assert isinstance(made, Slack)
    assert made.send_resolved is False
