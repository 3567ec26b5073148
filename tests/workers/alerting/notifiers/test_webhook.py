"""Target `webhook`."""

from __future__ import annotations

import hmac

import orjson
import pytest

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
from workers.alerting.notifiers.webhook import Webhook, payload, signature
from workers.outbound import Outbound, Permanent, Reason, Retry
from workers.section import DocumentError


class TestWebhook(Conformance):
    """The kit, and what is the webhook's own."""

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("webhook", f"{{url: '{url}', signing_key: {CANARY}}}")

        return made

    def test_the_call_is_named_and_signed(self, make: Make, sink: Sink, outbound: Outbound) -> None:
        """A receiver can tell a repeat by its delivery id and a forgery by the signature."""
        make(sink.url).notify(notification(), call(outbound))

        (seen,) = sink.seen
        stamp = str(int(NOW))
        digest = hmac.digest(CANARY.encode(), stamp.encode() + b"." + seen.body, "sha256").hex()
        assert seen.headers["x-delivery-id"] == "delivery-1"
        assert seen.headers["x-synap-hooks-signature"] == f"t={stamp},v1={digest}"

    def test_without_a_key_nothing_is_signed(self, sink: Sink, outbound: Outbound) -> None:
        """Signing is a choice."""
        target("webhook", f"url: {sink.url}").notify(notification(), call(outbound))

        assert "x-synap-hooks-signature" not in sink.seen[0].headers

    def test_gone_means_gone(self, sink: Sink, outbound: Outbound) -> None:
        """After a 410 that URL is not called again for the group; another one is."""
        sink.answer(410)

        first = target("webhook", f"url: {sink.url}/a").notify(notification(), call(outbound))
        assert isinstance(first, Permanent)
        held = call(outbound, first.memory)
        again = target("webhook", f"url: {sink.url}/a").notify(notification(), held)
        other = target("webhook", f"url: {sink.url}/b").notify(notification(), held)

        assert again == Permanent(Reason.CLIENT_ERROR, "it answered 410 before and is not called")
        assert isinstance(other, Permanent)
        assert [seen.path for seen in sink.seen] == ["/a", "/b"]

    @pytest.mark.parametrize("status", [408, 425])
    def test_what_only_came_too_soon(
        self, make: Make, sink: Sink, outbound: Outbound, status: int
    ) -> None:
        """408 and 425 are tried again."""
        sink.answer(status)

        assert isinstance(self.tell(make, sink, outbound), Retry)

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ("bearer_token: t", "Bearer t"),
            ("username: u, password: p", "Basic dTpw"),
        ],
    )
    def test_the_caller_says_who_it_is(
        self, sink: Sink, outbound: Outbound, more: str, expected: str
    ) -> None:
        """A token or a password goes into the header that is made for it."""
        target("webhook", f"{{url: '{sink.url}', {more}}}").notify(notification(), call(outbound))

        assert sink.seen[0].headers["authorization"] == expected

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ("bearer_token: t, username: u, password: p", "at most one of bearer_token"),
            ("username: u", "username and password must be configured together"),
        ],
    )
    def test_half_a_caller_is_none(self, more: str, message: str) -> None:
        """Mistakes are found when the configuration is read."""
        with pytest.raises(DocumentError, match=message):
            target("webhook", f"{{url: 'http://h/', {more}}}")

    def test_a_url_that_cannot_be_read_is_tried_again(self, outbound: Outbound) -> None:
        """A secret that is not there yet may come."""
        assert isinstance(Webhook(url=gone()).notify(notification(), call(outbound)), Retry)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "one of url or url_file", id="none"),
        pytest.param("{url: x}", "http or https URL", id="url"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("webhook", text)


def test_two_keys_sign_while_one_is_rotated() -> None:
    """Each key has its own digest, the newest first."""
    parts = signature(b"{}", ["new", "old"], 5).split(",")

    assert parts[0] == "t=5"
    assert parts[1] == "v1=" + hmac.digest(b"new", b"5.{}", "sha256").hex()
    assert parts[2] == "v1=" + hmac.digest(b"old", b"5.{}", "sha256").hex()


def test_keys_and_limits_come_from_the_configuration() -> None:
    """The key before this one stands beside it."""
    fields = "url: 'http://h/', signing_key: n, previous_signing_key: o, max_alerts: 3"
    made = target("webhook", f"{{{fields}}}")

    assert isinstance(made, Webhook)
    assert made.max_alerts == 3
    assert made.signing_key is not None
    assert made.previous_signing_key is not None
    assert (made.signing_key.reveal(), made.previous_signing_key.reveal()) == ("n", "o")


def test_the_body() -> None:
    """The body is Alertmanager's, version 4."""
    over = make_alert("A", host="2", ends_at=NOW - 1.5, now=NOW - 60)
    told = notification(make_alert("A", host="1"), over, route_labels={"team": "mem"})
    base = {
        "alertname": "A",
        "severity": "warning",
        "event_type": "ingestion.failed",
        "instance_id": INSTANCE,
    }
    about = {"summary": "A document failed"}

    assert orjson.loads(orjson.dumps(payload(told))) == {
        "version": "4",
        "groupKey": '{}:{alertname="A"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "team",
        "groupLabels": {"alertname": "A"},
        "commonLabels": base,
        "commonAnnotations": about,
        "routeLabels": {"team": "mem"},
        "externalURL": "https://hooks.example/",
        "notification_reason": "first notification",
        "alerts": [
            {
                "status": "firing",
                "labels": {**base, "host": "1"},
                "annotations": about,
                "startsAt": "2027-01-15T08:00:00.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": make_alert("A", host="1").fingerprint,
            },
            {
                "status": "resolved",
                "labels": {**base, "host": "2"},
                "annotations": about,
                "startsAt": "2027-01-15T07:59:00.000Z",
                "endsAt": "2027-01-15T07:59:58.500Z",
                "generatorURL": "",
                "fingerprint": over.fingerprint,
            },
        ],
    }


def test_an_acknowledgement_is_a_reason_and_no_status() -> None:
    """Who reads Alertmanager's body knows two statuses; the reason says what is new."""
    body = payload(notification(why=Why.ACKNOWLEDGED))

    assert (body["status"], body["notification_reason"]) == ("firing", "acknowledged")


def test_firing_alerts_are_kept_when_some_are_cut() -> None:
    """`max_alerts` keeps what fires and counts the rest."""
    over = make_alert("A", host="2", ends_at=NOW - 1)
    told = notification(make_alert("A", host="1"), over, truncated=3)

    body = payload(told, max_alerts=1)

    assert [alert["status"] for alert in body["alerts"]] == ["firing"]
    assert body["truncatedAlerts"] == 4
