"""Target `slack`."""

from __future__ import annotations

import orjson
import pytest
from pydantic import SecretStr

from tests.build import make_alert
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
from tests.workers.alerting.notifiers.fakes import slack_problems
from workers.alerting.notification import Notifier
from workers.alerting.notifiers import Ambient
from workers.alerting.notifiers.slack import Slack
from workers.alerting.notifiers.slack_blocks import fitting, message
from workers.outbound import Outbound, Permanent, Reason, Retry
from workers.section import DocumentError, Secret

TOKEN = f"xoxb-{CANARY}"


class TestWebhook(Conformance):
    """The kit, and what is the incoming webhook's own."""

    READS = True

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

    @pytest.mark.parametrize(
        ("status", "word"),
        [(400, "invalid_payload"), (404, "no_service"), (410, "channel_is_archived")],
    )
    def test_a_refusal_says_why(
        self, make: Make, sink: Sink, outbound: Outbound, status: int, word: str
    ) -> None:
        """Slack's word for it is kept."""
        sink.answer(status, word.encode())

        verdict = self.tell(make, sink, outbound)

        assert verdict == Permanent(Reason.CLIENT_ERROR, f"status {status} {word}")

    def test_a_url_that_cannot_be_read_is_tried_again(self, outbound: Outbound) -> None:
        """A secret that is not there yet may come."""
        assert isinstance(Slack(api_url=gone()).notify(notification(), call(outbound)), Retry)


def bot(url: str, more: str = "") -> Slack:
    """Return a bot that posts to a channel."""
    text = f"{{app_token: {TOKEN}, channel: '#ops', app_url: '{url}/api'{more}}}"
    made = target("slack", text)
    assert isinstance(made, Slack)
    return made


class TestBot(Conformance):
    """The kit, for a bot's token."""

    READS = True

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return bot(url.removesuffix(f"/{CANARY}"))

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return the API's success."""
        return 200, b'{"ok":true,"ts":"1.2","channel":"C1"}'

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            ("channel_not_found", Reason.CLIENT_ERROR),
            ("invalid_auth", Reason.AUTH_ERROR),
            ("msg_blocks_too_long", Reason.TOO_LARGE),
            (CANARY, Reason.CLIENT_ERROR),
        ],
    )
    def test_a_refusal_in_a_200(
        self, make: Make, sink: Sink, outbound: Outbound, error: str, reason: Reason
    ) -> None:
        """`ok: false` is a refusal; its word is kept unless it is none of Slack's."""
        sink.answer(200, orjson.dumps({"ok": False, "error": error}))

        verdict = self.tell(make, sink, outbound)

        expected = "refused" if error == CANARY else error
        assert verdict == Permanent(reason, expected)

    @pytest.mark.parametrize(
        ("error", "reason"),
        [("ratelimited", Reason.RATE_LIMITED), ("internal_error", Reason.SERVER_ERROR)],
    )
    def test_trouble_in_a_200(
        self, make: Make, sink: Sink, outbound: Outbound, error: str, reason: Reason
    ) -> None:
        """D2: some refusals pass, and Slack says when."""
        body = orjson.dumps({"ok": False, "error": error})
        sink.answer(200, body, headers={"Retry-After": "30"})

        assert self.tell(make, sink, outbound) == Retry(reason, error, 30.0)


def test_the_message_is_within_slack_s_limits() -> None:
    """However much there is to say, Slack takes it."""
    big = {
        "summary": "s&" * 500,
        "description": "<&>" * 3000 + "Why it matters: " + "&" * 9000 + "What to do: " + "<" * 9000,
        "inspect": "`rm`" * 500,
        "runbook": "not a link" * 300,
        "runbook_url": "https://h/" + "x" * 5000,
    }
    alerts = [make_alert("A", host=str(n) + "&" * 500, annotations=big) for n in range(60)]

    told = message(notification(*alerts, truncated=9))

    blocks = told["attachments"][0]["blocks"]
    assert list(slack_problems(told)) == []
    assert len(str(blocks)) < 12_000
    assert not any(block["type"] == "actions" for block in blocks)


def test_an_image_that_is_too_long_is_left_out() -> None:
    """Slack refuses a message for one URL that is too long."""
    alert = make_alert(annotations={"image_url": "https://i/" + "x" * 3000})

    blocks = message(notification(alert))["attachments"][0]["blocks"]

    assert [block["type"] for block in blocks] == ["context"]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        pytest.param("a<b", 10, "a&lt;b", id="fits"),
        pytest.param("&" * 9, 30, "&amp;" * 4 + "…", id="cut-before-it-is-escaped"),
        pytest.param("abcdef", 4, "abc…", id="plain"),
    ],
)
def test_escaped_texts_are_never_cut_within_an_escape(text: str, limit: int, expected: str) -> None:
    """The limit counts what is sent."""
    assert fitting(text, limit) == expected


def test_text_of_events_pings_nobody() -> None:
    """What an event says is text, never a mention or a link."""
    alert = make_alert(annotations={"summary": "<!channel> & <@U1>", "description": "<#C1|x>"})

    told = message(notification(alert))

    assert list(slack_problems(told)) == []
    assert told["text"] == "*FIRING: &lt;!channel&gt; &amp; &lt;@U1&gt;*"


def test_links_and_images_can_be_opened() -> None:
    """What alerts link to is a button, an image is shown."""
    alert = make_alert(annotations={"runbook_url": "https://r/", "image_url": "https://i/x.png"})

    blocks = message(notification(alert))["attachments"][0]["blocks"]

    assert [block["type"] for block in blocks] == ["context", "image", "actions"]
    assert blocks[-1]["elements"][0]["url"] == "https://r/"


def test_the_general_section_names_a_url() -> None:
    """An entry without a URL uses the one for all."""
    made = target("slack", "{}", Ambient(slack_api_url=Secret(file=gone().file)))

    assert isinstance(made, Slack)
    assert made.send_resolved is False
    assert made.account == "/nowhere/c4nary "
    from_environment = target("slack", "{}", Ambient(slack_url=SecretStr("https://h/x")))
    assert isinstance(from_environment, Slack)
    assert from_environment.api_url == Secret(SecretStr("https://h/x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "{api_url: 'https://h/x', update_message: true}",
            "update_message can only be used with bot tokens. "
            "api_url must be set to https://slack.com/api/chat.postMessage",
            id="update-with-webhook",
        ),
        pytest.param(
            "{api_url: 'https://h/x', app_token: t, channel: c}",
            "at most one of app_token",
            id="both",
        ),
        pytest.param("{app_token: t}", "missing channel", id="no-channel"),
        pytest.param("{app_token: t, channel: c, app_url: x}", "http or https URL", id="app-url"),
        pytest.param("{}", "no Slack API URL set either inline or in a file", id="nothing"),
        pytest.param("{api_url: x}", "api_url must be an http or https URL", id="url"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("slack", text)
