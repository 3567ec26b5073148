"""Rollout `webhook`."""

from __future__ import annotations

import hmac
import logging
from pathlib import Path

import orjson
import pytest

from tests.sink import Sink
from tests.workers.rotation.rollouts.namespace import configured
from workers.outbound import READ_SECONDS
from workers.rotation.calling import Request, call
from workers.rotation.errors import PermanentError, PortError, Reason, TransientError
from workers.rotation.ports import CALL_SECONDS, Phase, Progress, Rollout, Stamp
from workers.section import DocumentError

STAMP = Stamp("rot-7f3a", 1_800_000_000.0, "6f0c9b0e-0000-5000-8000-000000000000")
WAVE = ("canary",)


def rollout(url: str) -> Rollout:
    """Return a rollout that asks this server; its secrets contain the canary."""
    urls = f"url: {url}/start/c4nary, status_url: {url}/status"
    return configured(f"{{type: webhook, {urls}, signing_key: key-c4nary, waves: [canary, rest]}}")


def test_a_wave_is_begun_by_a_signed_call(sink: Sink) -> None:
    """The other side can tell that it is ours, fresh, and whether it is a repeat."""
    made = rollout(sink.url)
    made.start(WAVE, STAMP)
    made.start(WAVE, STAMP)
    made.start(("rest",), STAMP)

    first, second, third = sink.seen
    said = orjson.loads(first.body)
    timestamp = first.headers["x-synap-hooks-signature"].split(",")[0].removeprefix("t=")
    signed = timestamp.encode() + b"." + first.body
    digest = hmac.digest(b"key-c4nary", signed, "sha256").hex()
    assert (first.method, first.path) == ("POST", "/start/c4nary")
    assert first.headers["x-synap-hooks-signature"] == f"t={timestamp},v1={digest}"
    assert said == {
        "rotation": "rot-7f3a",
        "wave": ["canary"],
        "at": 1_800_000_000.0,
        "token": first.headers["idempotency-key"],
    }
    assert second.headers["idempotency-key"] == first.headers["idempotency-key"]
    assert third.headers["idempotency-key"] != first.headers["idempotency-key"]


@pytest.mark.parametrize("phase", list(Phase))
def test_the_status_is_polled(sink: Sink, phase: Phase) -> None:
    """The other side says how far it is, in our words."""
    sink.answer(body=orjson.dumps({"phase": phase, "detail": "x" * 500}), path="/status")

    assert rollout(sink.url).status(WAVE, STAMP) == Progress(phase, "x" * 200)
    assert [seen.path for seen in sink.seen] == ["/status"]


def test_an_unknown_wave_is_absent(sink: Sink) -> None:
    """404 is an answer."""
    sink.answer(404, path="/status")

    assert rollout(sink.url).status(WAVE, STAMP).phase is Phase.ABSENT


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"phase": "?"}', b'{"phase": ["done"]}'])
def test_a_status_that_says_nothing(sink: Sink, body: bytes) -> None:
    """It is refused by name, and nothing is concluded from it."""
    sink.answer(body=body, path="/status")

    with pytest.raises(PermanentError) as caught:
        rollout(sink.url).status(WAVE, STAMP)

    assert caught.value.reason == Reason.INVALID


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        pytest.param(400, PermanentError, Reason.INVALID, id="malformed"),
        pytest.param(401, PermanentError, Reason.DENIED, id="unauthorized"),
        pytest.param(403, PermanentError, Reason.DENIED, id="forbidden"),
        pytest.param(404, PermanentError, Reason.INVALID, id="nowhere"),
        pytest.param(301, PermanentError, Reason.INVALID, id="elsewhere"),
        pytest.param(408, TransientError, Reason.TIMEOUT, id="late"),
        pytest.param(409, TransientError, Reason.CONFLICT, id="conflict"),
        pytest.param(429, TransientError, Reason.RATE_LIMITED, id="throttled"),
        pytest.param(503, TransientError, Reason.SERVER_ERROR, id="broken"),
    ],
)
def test_answers(sink: Sink, status: int, kind: type[PortError], reason: Reason) -> None:
    """Each answer has its name; the URL, which may carry a secret, is not in it."""
    sink.answer(status, b"c4nary")

    with pytest.raises(kind) as caught:
        rollout(sink.url).start(WAVE, STAMP)

    assert caught.value.reason == reason
    assert "c4nary" not in str(caught.value)


def test_a_wish_to_wait_is_passed_on(sink: Sink) -> None:
    """The other side's seconds."""
    sink.answer(429, headers={"Retry-After": "17"})

    with pytest.raises(TransientError) as caught:
        rollout(sink.url).start(WAVE, STAMP)

    assert caught.value.after == 17.0


def test_nothing_listens() -> None:
    """It may do so later."""
    with pytest.raises(TransientError) as caught:
        rollout("http://127.0.0.1:1").start(WAVE, STAMP)

    assert caught.value.reason == Reason.UNREACHABLE


def test_a_call_ends_in_time() -> None:
    """The time-outs of one call keep the promise of every port."""
    assert READ_SECONDS < CALL_SECONDS


def test_a_url_that_is_none() -> None:
    """It is refused for good."""
    with pytest.raises(PermanentError) as caught:
        call(Request("x", "GET", "nowhere"), 0.0)

    assert caught.value.reason == Reason.INVALID


def test_no_secret_shows(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the printed form nor any log holds a secret."""
    made = rollout(sink.url)
    with caplog.at_level(logging.DEBUG):
        made.start(WAVE, STAMP)

    assert "c4nary" not in repr(made) + caplog.text


def test_secrets_in_files(sink: Sink, tmp_path: Path) -> None:
    """A file that is not there yet may come."""
    (tmp_path / "url").write_text(f"{sink.url}/start\n")
    made = configured(
        "{type: webhook, url_file: url, status_url_file: url, signing_key_file: key}", tmp_path
    )
    with pytest.raises(TransientError):
        made.start(WAVE, STAMP)
    (tmp_path / "key").write_text("k")
    made.start(WAVE, STAMP)

    assert len(sink.seen) == 1


def test_the_configuration_is_strict() -> None:
    """What is missing or malformed is named with its line."""
    with pytest.raises(DocumentError) as caught:
        configured("type: webhook\nurl: nowhere\n")

    assert sorted(caught.value.problems) == [
        'hooks.yml:1: "signing_key" or "signing_key_file" is missing',
        'hooks.yml:1: "status_url" or "status_url_file" is missing',
        "hooks.yml:2: url must be an http or https URL",
    ]
