"""Targets `cloudwatch`, `sns` and `eventbridge`: the kit, against answers that a test makes up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from tests.build import NOW, make_alert
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
from workers.alerting.notification import Notifier
from workers.alerting.notifiers.aws import Account, judge
from workers.alerting.notifiers.cloudwatch import batches
from workers.alerting.notifiers.sns import Sns
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent
from workers.section import DocumentError

TOPIC = "arn:aws:sns:eu-west-1:123456789012:t"
CODES = {401: "InvalidClientTokenId", 403: "AuthorizationError", 429: "Throttled"}


def account(url: str) -> str:
    """Return the fields that say whose account it is, for a configuration."""
    keys = f"access_key: AKIA{CANARY}, secret_key: {CANARY}"
    return f"region: eu-west-1, endpoint_url: '{url.removesuffix('/' + CANARY)}', {keys}"


def as_json(status: int) -> bytes:
    """Return a refusal as AWS writes it in JSON."""
    code = CODES.get(status, "InvalidParameterValue")
    return orjson.dumps({"__type": f"com.amazonaws#{code}", "message": CANARY})


def as_xml(status: int) -> bytes:
    """Return a refusal as AWS writes it in XML."""
    code = CODES.get(status, "InvalidParameter" if status < 500 else "InternalError")
    text = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{CANARY}</Message></Error>"
    return f"<ErrorResponse>{text}<RequestId>r</RequestId></ErrorResponse>".encode()


class TestSns(Conformance):
    """The kit, for Publish."""

    READS = True

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("sns", f"{{topic_arn: '{TOPIC}', {account(url)}}}")

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return SNS's 200."""
        result = b"<PublishResult><MessageId>m1</MessageId></PublishResult>"
        return 200, b"<PublishResponse>" + result + b"</PublishResponse>"

    @pytest.fixture
    def refused(self) -> Callable[[int], bytes]:
        """Return what SNS says to what it refuses."""
        return as_xml

    def test_the_message_s_id_is_kept(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """A person can find the message by it."""
        sink.answer(*taken)

        assert self.tell(make, sink, outbound) == Sent("m1")


class TestCloudwatch(Conformance):
    """The kit, for PutMetricData."""

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("cloudwatch", f"{{{account(url)}}}")

        return made

    @pytest.fixture
    def refused(self) -> Callable[[int], bytes]:
        """Return what CloudWatch says to what it refuses."""
        return as_json


class TestEventbridge(Conformance):
    """The kit, for PutEvents."""

    READS = True
    HUGE_CALLS = 50
    CALLS_AT: ClassVar[Mapping[int, int]] = {}

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return target("eventbridge", f"{{{account(url)}}}")

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return EventBridge's 200 for one entry."""
        return 200, entries("")

    @pytest.fixture
    def refused(self) -> Callable[[int], bytes]:
        """Return what EventBridge says to what it refuses."""
        return as_json

    def test_huge_group(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """Ten alerts are one call."""
        del taken
        sink.answer(200, entries(*[""] * 10))
        alerts = [
            make_alert("A", host=str(n), annotations={"description": "x" * 5000})
            for n in range(500)
        ]

        verdict = make(sink.url).notify(notification(*alerts, truncated=7), call(outbound))

        assert isinstance(verdict, Sent)
        assert len(sink.seen) == self.HUGE_CALLS

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("ThrottlingException", Retry(Reason.RATE_LIMITED, "ThrottlingException")),
            ("InternalFailure", Retry(Reason.SERVER_ERROR, "InternalFailure")),
            ("AccessDeniedException", Permanent(Reason.AUTH_ERROR, "AccessDeniedException")),
            ("MalformedDetail", Permanent(Reason.CLIENT_ERROR, "MalformedDetail")),
        ],
    )
    def test_only_failed_entries_are_sent_again(
        self,
        make: Make,
        sink: Sink,
        outbound: Outbound,
        code: str,
        expected: Retry | Permanent,
    ) -> None:
        """A 200 may hold refusals: what was accepted is remembered and not repeated."""
        sink.answer_next(Answer(200, entries("", code, "")), Answer(200, entries(*[""] * 1)))
        told = notification(*(make_alert("A", host=str(n)) for n in range(3)))
        made = make(sink.url)

        first = made.notify(told, call(outbound))
        assert isinstance(first, Retry | Permanent)
        second = made.notify(told, call(outbound, first.memory))

        assert first._replace(memory=None) == expected
        assert isinstance(second, Sent)
        sent = [orjson.loads(seen.body)["Entries"] for seen in sink.seen]
        assert [len(batch) for batch in sent] == [3, 1]
        assert sent[1] == [sent[0][1]]


def entries(*codes: str) -> bytes:
    """Return EventBridge's answer with an error code for each entry, empty if it was taken."""
    found = [
        {"ErrorCode": code, "ErrorMessage": CANARY} if code else {"EventId": "e"} for code in codes
    ]
    failed = sum(bool(code) for code in codes)
    return orjson.dumps({"FailedEntryCount": failed, "Entries": found})


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        pytest.param(
            "AuthorizationError", 403, Permanent(Reason.AUTH_ERROR, "AuthorizationError"), id="auth"
        ),
        pytest.param("Strange", 403, Permanent(Reason.AUTH_ERROR, "Strange"), id="403"),
        pytest.param("ExpiredToken", 403, Retry(Reason.AUTH_ERROR, "ExpiredToken"), id="expired"),
        pytest.param("Throttled", 429, Retry(Reason.RATE_LIMITED, "Throttled"), id="throttled"),
        pytest.param("KMSThrottling", 400, Retry(Reason.RATE_LIMITED, "KMSThrottling"), id="kms"),
        pytest.param("InternalError", 500, Retry(Reason.SERVER_ERROR, "InternalError"), id="500"),
        pytest.param(
            "InternalServiceFault",
            0,
            Retry(Reason.SERVER_ERROR, "InternalServiceFault"),
            id="fault",
        ),
        pytest.param(
            "KMSDisabled", 400, Permanent(Reason.CLIENT_ERROR, "KMSDisabled"), id="kms-off"
        ),
        pytest.param(
            "EndpointDisabled", 400, Permanent(Reason.CLIENT_ERROR, "EndpointDisabled"), id="off"
        ),
        pytest.param("NotFound", 404, Permanent(Reason.CLIENT_ERROR, "NotFound"), id="404"),
    ],
)
def test_what_a_code_means(code: str, status: int, expected: Retry | Permanent) -> None:
    """B28, for AWS: throttling and trouble pass, refusals do not."""
    assert judge(code, status) == expected


def test_without_credentials_it_is_tried_again(outbound: Outbound, sink: Sink) -> None:
    """A role may be given to the machine later."""
    profile = Account(region="eu-west-1", endpoint_url=sink.url, profile="none")
    unreadable = Account(region="eu-west-1", access_key=gone(), secret_key=gone())

    first = Sns(account_=profile, topic_arn=TOPIC).notify(notification(), call(outbound))
    second = Sns(account_=unreadable, topic_arn=TOPIC).notify(notification(), call(outbound))

    assert first == Permanent(Reason.CLIENT_ERROR, "ProfileNotFound")
    assert isinstance(second, Retry)


def test_a_machine_without_a_role(
    outbound: Outbound, sink: Sink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nothing names credentials, they may come later."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    nobody = Account(region="eu-west-9", endpoint_url=sink.url)

    verdict = Sns(account_=nobody, topic_arn=TOPIC).notify(notification(), call(outbound))

    assert verdict == Retry(Reason.AUTH_ERROR, "NoCredentialsError")


def test_parameters_that_aws_s_library_refuses(outbound: Outbound, sink: Sink) -> None:
    """What cannot even be sent is refused for good."""
    made = target("cloudwatch", f"{{metric: '', {account(sink.url)}}}")

    verdict = made.notify(notification(), call(outbound))

    assert verdict == Permanent(Reason.CLIENT_ERROR, "ParamValidationError")
    assert sink.seen == []


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("cloudwatch", "{}", "missing region"),
        ("cloudwatch", "{region: r, namespace: AWS/x}", "not begin with AWS/"),
        ("cloudwatch", "{region: r, dimensions: [event_id]}", "differs from event to event"),
        ("cloudwatch", f"{{region: r, dimensions: {list('a' * 31)}}}", "at most 30 dimensions"),
        ("cloudwatch", "{region: r, endpoint_url: x}", "endpoint_url must be"),
        ("cloudwatch", "{region: r, access_key: a}", "access_key and secret_key"),
        ("eventbridge", "{region: r, source: aws.x}", "source must not"),
        ("sns", "{region: r}", "must provide either a Target ARN, Topic ARN, or Phone Number"),
        ("sns", "{topic_arn: x}", "topic_arn is no ARN"),
    ],
)
def test_what_a_configuration_may_not_say(kind: str, text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target(kind, text)


def test_a_call_weighs_no_more_than_cloudwatch_takes(sink: Sink, outbound: Outbound) -> None:
    """Many alerts with long labels are told in several calls."""
    names = [f"label_{number}" for number in range(20)]
    made = target("cloudwatch", f"{{dimensions: {names}, {account(sink.url)}}}")
    alerts = [make_alert("A", host=str(n), **dict.fromkeys(names, f"{n:0250}")) for n in range(100)]

    verdict = made.notify(notification(*alerts), call(outbound))

    assert isinstance(verdict, Sent)
    assert len(sink.seen) > 1
    assert sum(len(batch) for batch in batches(made.data(notification(*alerts)))) == 100  # type: ignore[attr-defined]


def test_the_values_of_a_metric() -> None:
    """One value for each set of dimensions, group labels among them; what is over counts 0."""
    made = target("cloudwatch", "{region: r, dimensions: [zone]}")
    told = notification(
        make_alert("A", host="1"),
        make_alert("A", host="2"),
        make_alert("B", zone="é" * 300, ends_at=NOW),
        group_labels={"alertname": "", "event_id": ""},
    )

    data = made.data(told)  # type: ignore[attr-defined]

    assert [(one["Value"], [part["Name"] for part in one["Dimensions"]]) for one in data] == [
        (2.0, ["alertname"]),
        (0.0, ["zone", "alertname"]),
    ]
    assert all(len(part["Value"]) <= 255 for one in data for part in one["Dimensions"])
