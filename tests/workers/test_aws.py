"""boto3's calls go out through the one guarded client, all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sink import Answer, Sink
from workers.aws import Identity, open_session
from workers.outbound import BrokenError, Limits, Outbound, OversizedError, Reason

REGION = "eu-west-1"
KEYS = Identity("key", "secret")
ASSUMED = b"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class Counting(Outbound):
    """A way out that knows where it was asked to go."""

    called: tuple[str, ...] = ()

    def call(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """Note a call and make it."""
        self.called += (f"{method} {url}",)
        return super().call(method, url, *args, **options)


@pytest.fixture
def outbound() -> Iterator[Counting]:
    """Yield a way out that counts."""
    client = Counting(connect=5, read=10)
    yield client
    client.close()


def client(outbound: Outbound, sink: Sink, service: str = "ssm", **options: Any) -> Any:
    """Return a client that calls the sink."""
    session = open_session(outbound, KEYS, **options)
    return session.client(service, region_name=REGION, endpoint_url=sink.url)


def test_a_call_goes_through_the_guarded_client(outbound: Counting, sink: Sink) -> None:
    """What boto3 signed arrives as it was signed."""
    sink.answer(200, b'{"Parameter": {"Value": "v"}}')

    answer = client(outbound, sink).get_parameter(Name="n")

    assert answer["Parameter"] == {"Value": "v"}
    assert outbound.called == (f"POST {sink.url}/",)
    (seen,) = sink.seen
    assert seen.json == {"Name": "n"}
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
    assert "app/synap-hooks" in seen.headers["user-agent"]


def test_the_call_for_a_role_does_too(
    outbound: Counting, sink: Sink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pod's role is assumed over the same way out."""
    (tmp_path / "token").write_text("a.json.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/hooks")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sink.url)
    sink.answer_next(Answer(200, ASSUMED), Answer(200, b"{}"))

    session = open_session(outbound)
    session.client("ssm", region_name=REGION, endpoint_url=sink.url).describe_parameters()

    assert len(outbound.called) == 2 == len(sink.seen)
    assert b"AssumeRoleWithWebIdentity" in sink.seen[0].body
    assert "Credential=ASIAROLE/" in sink.seen[1].headers["authorization"]


def test_trouble_is_not_tried_again(outbound: Counting, sink: Sink) -> None:
    """One call is one attempt, whatever the answer."""
    sink.answer(503)

    with pytest.raises(ClientError):
        client(outbound, sink).get_parameter(Name="n")

    assert len(sink.seen) == 1


def test_a_redirect_is_not_followed(outbound: Counting, sink: Sink) -> None:
    """What was signed for one place goes nowhere else."""
    sink.answer(307, headers={"Location": f"{sink.url}/elsewhere"})

    with pytest.raises(ClientError):
        client(outbound, sink).get_parameter(Name="n")

    assert [seen.path for seen in sink.seen] == ["/"]


def test_an_answer_is_bounded(outbound: Counting, sink: Sink) -> None:
    """An answer that nobody should read is not read, and the limit is the caller's."""
    sink.answer(200, b'{"Parameter": {"Value": "%s"}}' % (b"x" * 70_000))

    with pytest.raises(OversizedError):
        client(outbound, sink).get_parameter(Name="n")
    wide = client(outbound, sink, limits=Limits(5, 10, 10, 100_000))
    read = wide.get_parameter(Name="n")["Parameter"]["Value"]

    assert len(read) == 70_000


def test_a_server_that_hangs_is_given_up(outbound: Counting, sink: Sink) -> None:
    """The time-outs are those of the guarded client."""
    sink.answer(hang=5)

    with pytest.raises(BrokenError) as caught:
        client(outbound, sink, limits=Limits(0.3, 0.3, 0.3)).get_parameter(Name="n")

    assert caught.value.reason == Reason.DEADLINE
