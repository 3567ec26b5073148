"""What the errors of AWS mean, from answers as they come over the wire."""

from __future__ import annotations

import orjson
import pytest

from tests.sink import Answer, Sink
from tests.workers.rotation.stores.steps import NEW, OLD, configured, promote, put, reason_of, token
from workers.outbound import BrokenError, UnreachableError
from workers.outbound import Reason as Outcome
from workers.rotation.errors import PermanentError, PortError, Reason, TransientError
from workers.rotation.ports import Store

pytest.importorskip("moto", reason="moto[server] is not installed: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'synap-hooks[aws]'")

from botocore import exceptions

from tests.workers.rotation.cloud import REGION, sign_in
from workers.rotation.stores import amazon

SLOW = (TransientError, Reason.RATE_LIMITED)
BROKEN = (TransientError, Reason.SERVER_ERROR)
DENIED = (PermanentError, Reason.DENIED)
INVALID = (PermanentError, Reason.INVALID)


@pytest.fixture
def store(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store that asks the sink."""
    sign_in(monkeypatch, ("key", "secret"))
    entry = f"secret_id: s, region: {REGION}, endpoint_url: '{sink.url}'"
    return configured(f"{{type: aws_secrets_manager, {entry}}}")


def error(code: str, status: int = 400) -> Answer:
    """Return an error as the JSON protocol writes it, its text repeating what was sent."""
    body = orjson.dumps({"__type": f"com.amazonaws#{code}", "message": f"Value '{NEW}' at"})
    return Answer(status, body, {"content-type": "application/x-amz-json-1.1"})


def version(text: str, name: str) -> Answer:
    """Return an answer of GetSecretValue."""
    return Answer(200, orjson.dumps({"SecretString": text, "VersionId": name * 36}))


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        pytest.param(error("ThrottlingException"), *SLOW, id="throttled"),
        pytest.param(error("InternalServiceError", 500), *BROKEN, id="broken"),
        pytest.param(error("AccessDeniedException"), *DENIED, id="policy"),
        pytest.param(error("ExpiredTokenException"), *DENIED, id="expired"),
        pytest.param(error("DecryptionFailure"), *DENIED, id="key"),
        pytest.param(error("KMSAccessDeniedException"), *DENIED, id="kms"),
        pytest.param(error("InvalidRequestException"), *INVALID, id="deleted"),
        pytest.param(error("ValidationException"), *INVALID, id="malformed"),
    ],
)  # fmt: skip
def test_answers(
    sink: Sink, store: Store, answer: Answer, kind: type[PortError], reason: Reason
) -> None:
    """The code decides; the text is not shown."""
    sink.answer_next(answer)

    with pytest.raises(kind) as caught:
        store.read_current()

    assert caught.value.reason == reason
    assert NEW not in str(caught.value)
    assert len(sink.seen) == 1


def test_nothing_by_this_name(sink: Sink, store: Store) -> None:
    """A missing secret is read as nothing, but cannot be changed."""
    sink.answer_next(error("ResourceNotFoundException"), error("ResourceNotFoundException"))

    assert store.read_current() is None
    assert reason_of(lambda: promote(store)) == Reason.NOT_FOUND


def test_a_token_with_other_data(sink: Sink, store: Store) -> None:
    """AWS itself refuses the version's id for another value (moto does not)."""
    missing = error("ResourceNotFoundException")
    sink.answer_next(
        Answer(), version(OLD, "1"), missing, missing, error("ResourceExistsException")
    )

    assert reason_of(lambda: put(store)) == Reason.THIRD_WRITER
    assert sink.seen[-1].json["ClientRequestToken"] == token(f"put {NEW}")


def test_a_refused_put_keeps_its_own_reason(sink: Sink, store: Store) -> None:
    """Only that one code means a third value."""
    missing = error("ResourceNotFoundException")
    sink.answer_next(Answer(), version(OLD, "1"), missing, missing, error("LimitExceededException"))

    assert reason_of(lambda: put(store)) == Reason.INVALID


def test_a_refused_move_keeps_its_own_reason(sink: Sink, store: Store) -> None:
    """Only a version that is not current any more is judged anew."""
    sink.answer_next(Answer(), version(OLD, "1"), version(NEW, "2"), error("ThrottlingException"))

    assert reason_of(lambda: promote(store)) == Reason.RATE_LIMITED


def test_a_secret_of_another_service_is_refused(sink: Sink, store: Store) -> None:
    """What a service owns, the service writes."""
    sink.answer_next(Answer(200, b'{"OwningService": "rds"}'))

    assert reason_of(lambda: put(store)) == Reason.MANAGED_ELSEWHERE


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        pytest.param(exceptions.NoCredentialsError(), Reason.DENIED, id="nobody"),
        pytest.param(
            exceptions.PartialCredentialsError(provider="env", cred_var="x"),
            Reason.DENIED,
            id="half",
        ),
        pytest.param(exceptions.NoRegionError(), Reason.INVALID, id="nowhere"),
        pytest.param(BrokenError("u", Outcome.DEADLINE), Reason.TIMEOUT, id="late"),
        pytest.param(UnreachableError("u"), Reason.UNREACHABLE, id="no-way"),
        pytest.param(exceptions.ParamValidationError(report=NEW), Reason.INVALID, id="sdk-refuses"),
    ],
)  # fmt: skip
def test_no_answer(raised: Exception, reason: Reason) -> None:
    """What is raised where nothing comes back has its name as well, and its text is not shown."""
    with pytest.raises(PortError) as caught, amazon.reading("aws"):
        raise raised

    assert caught.value.reason == reason
    assert NEW not in str(caught.value)


def test_where_to_call_may_be_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region or an endpoint, the SDK's own settings hold."""
    sign_in(monkeypatch, ("key", "secret"))

    client = amazon.Account().client("ssm")

    assert client.meta.endpoint_url == f"https://ssm.{REGION}.amazonaws.com"
