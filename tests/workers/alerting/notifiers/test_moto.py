"""The AWS targets against moto's server: what arrives at the other end of each service."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import orjson
import pytest
from moto.server import ThreadedMotoServer

from tests.build import NOW, make_alert
from tests.workers.alerting.notifiers.conformance import call, notification, target
from workers.alerting.notification import Why
from workers.alerting.notifiers.eventbridge import batches, detail
from workers.alerting.notifiers.sns import Sns, attributes, subject
from workers.outbound import Outbound, Sent

REGION = "eu-west-1"
KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": REGION}


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """Yield the URL of an AWS of our own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client(aws: str, service: str) -> Any:
    """Return a client of one service."""
    return boto3.client(service, endpoint_url=aws, **KEYS)  # type: ignore[call-overload]


def own(aws: str) -> str:
    """Return the fields that say whose account it is."""
    return f"region: {REGION}, endpoint_url: '{aws}', access_key: a, secret_key: s"


def queue(aws: str, name: str) -> tuple[str, str]:
    """Return a queue's URL and ARN."""
    sqs = client(aws, "sqs")
    more = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=name, Attributes=more)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def received(aws: str, url: str) -> list[dict[str, Any]]:
    """Return what arrived at a queue."""
    answer = client(aws, "sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [orjson.loads(message["Body"]) for message in answer.get("Messages", [])]


def topic(aws: str, name: str, queue_arn: str) -> str:
    """Return the ARN of a topic that hands on to a queue."""
    sns = client(aws, "sns")
    more = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    arn: str = sns.create_topic(Name=name, Attributes=more)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    return arn


def test_sns_tells_a_queue(aws: str, outbound: Outbound) -> None:
    """Subject, text and what subscriptions filter by arrive."""
    url, arn = queue(aws, "plain")
    made = target("sns", f"{{topic_arn: '{topic(aws, 'plain', arn)}', {own(aws)}}}")

    verdict = made.notify(notification(), call(outbound))

    assert isinstance(verdict, Sent)
    (message,) = received(aws, url)
    assert message["Subject"] == "FIRING: A document failed"
    assert message["Message"].startswith("FIRING: A document failed\n\nWhen: since 2027-01-15")
    assert message["MessageAttributes"]["severity"]["Value"] == "warning"
    assert message["MessageId"] == verdict.note
    assert made.idempotent is False


def test_a_fifo_topic_drops_repeats_and_no_resolve(aws: str, outbound: Outbound) -> None:
    """D8: within five minutes a repeat is dropped, and the resolve is not."""
    url, arn = queue(aws, "q.fifo")
    made = target("sns", f"{{topic_arn: '{topic(aws, 't.fifo', arn)}', {own(aws)}}}")
    fires = notification()
    over = notification(make_alert("A", ends_at=NOW), why=Why.ALL_RESOLVED)

    for told in (fires, fires, over):
        assert isinstance(made.notify(told, call(outbound)), Sent)

    subjects = [message["Subject"] for message in received(aws, url)]
    assert subjects == ["FIRING: A document failed", "RESOLVED: A document failed"]
    assert made.idempotent is True


def test_the_deduplication_id_speaks_of_state_and_flush() -> None:
    """D8: it is the digest of group, state and flush, and within 128 characters."""
    made = target("sns", "topic_arn: 'arn:aws:sns:eu-west-1:1:t.fifo'")
    assert isinstance(made, Sns)

    request = made.request(notification(flush=7))

    said = f"{'d' * 64}:firing-7-{int(NOW * 1000)}".encode()
    assert request["MessageDeduplicationId"] == hashlib.sha256(said).hexdigest()
    assert request["MessageGroupId"] == "d" * 64


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param("FIRING: ok", "FIRING: ok", id="plain"),
        pytest.param("a\r\nb\tc", "a b c", id="one-line"),
        pytest.param("é🎈", "??", id="ascii"),
        pytest.param("x" * 120, "x" * 96 + "...", id="below-100"),
    ],
)
def test_a_subject(head: str, expected: str) -> None:
    """SNS takes fewer than 100 printable ASCII characters."""
    assert subject(head) == expected


def test_a_message_is_cut_between_characters() -> None:
    """At most 262 144 bytes, with room for attributes; no character is torn."""
    made = target("sns", "topic_arn: 'arn:aws:sns:eu-west-1:1:t'")
    assert isinstance(made, Sns)
    long = make_alert("A", annotations={"summary": "🎈" * 90_000})

    request = made.request(notification(long))

    size = len(request["Message"].encode()) + len(str(request["MessageAttributes"]).encode())
    assert size <= 262_144
    assert request["Message"].endswith("…")
    assert len(attributes(notification(receiver=""))) == 3


def test_a_phone_is_told_the_headline() -> None:
    """A text message is short and has no subject."""
    made = target("sns", "{phone_number: '+4912345', region: eu-west-1}")
    assert isinstance(made, Sns)

    assert made.request(notification()) == {
        "PhoneNumber": "+4912345",
        "Message": "FIRING: A document failed",
    }


def test_cloudwatch_counts(aws: str, outbound: Outbound) -> None:
    """The number of alerts that fire stands under their labels."""
    made = target("cloudwatch", f"{{namespace: Test, {own(aws)}}}")
    now = datetime.now(UTC).timestamp()
    told = notification(make_alert("A", host="1"), make_alert("A", host="2"), at=now)

    assert isinstance(made.notify(told, call(outbound)), Sent)

    found = client(aws, "cloudwatch").get_metric_statistics(
        Namespace="Test",
        MetricName="AlertsFiring",
        Dimensions=[
            {"Name": "alertname", "Value": "A"},
            {"Name": "severity", "Value": "warning"},
        ],
        StartTime=datetime.fromtimestamp(now - 300, UTC),
        EndTime=datetime.fromtimestamp(now + 300, UTC),
        Period=60,
        Statistics=["Maximum"],
    )
    assert [point["Maximum"] for point in found["Datapoints"]] == [2.0]


def test_eventbridge_hands_on(aws: str, outbound: Outbound) -> None:
    """A rule sees each alert with an id of its own."""
    events = client(aws, "events")
    url, arn = queue(aws, "bus")
    events.put_rule(Name="all", EventPattern='{"source":["synap-hooks"]}')
    events.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": arn}])
    made = target("eventbridge", f"{{{own(aws)}}}")
    told = notification(make_alert("A", host="1"), make_alert("A", host="2", ends_at=NOW))

    assert isinstance(made.notify(told, call(outbound)), Sent)

    found = {event["detail"]["id"]: event for event in received(aws, url)}
    assert {event["detail-type"] for event in found.values()} == {"Alert firing", "Alert resolved"}
    assert len(found) == 2


def test_entries_fit_into_calls() -> None:
    """At most ten entries and 250 000 bytes in a call, whatever the alerts say."""
    made = target("eventbridge", "region: eu-west-1")
    hostile = {"description": "\x00" * 90_000, "x" * 5000: "🎈" * 9000}
    alerts = [make_alert("A", host=str(n), annotations=hostile) for n in range(12)]

    calls = list(batches(made.entries(notification(*alerts))))  # type: ignore[attr-defined]

    assert sum(len(batch) for batch in calls) == 12
    assert max(sum(entry.size for entry in batch) for batch in calls) <= 250_000
    assert detail(notification(), alerts[0])["status"] == "firing"
    assert list(batches([])) == []


def test_a_topic_without_subjects() -> None:
    """Some subscribers want the message alone."""
    made = target("sns", "{topic_arn: 'arn:aws:sns:eu-west-1:1:t', subject: false}")
    assert isinstance(made, Sns)

    assert "Subject" not in made.request(notification())
