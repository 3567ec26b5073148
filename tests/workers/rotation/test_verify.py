"""What Synap's answer to whoami says of a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.build import NOW
from tests.sandbox.clock import VirtualClock
from tests.sandbox.sandbox import CLIENT, INSTANCE, Sandbox
from tests.sink import Sink
from tests.workers.rotation.world import NEW
from workers.outbound import Outbound
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Dead, Live, Unclear, Verdict
from workers.rotation.verify import Whoami, well_formed

KEY = Secret(NEW)


def ask(url: str, key: Secret = KEY) -> Verdict:
    """Ask whoami at a URL."""
    outbound = Outbound()
    try:
        return Whoami(outbound, url, lambda: NOW).whoami(key)
    finally:
        outbound.close()


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        pytest.param(200, b'{"client_id":"c","instance_id":"i"}', Live("c", "i"), id="live"),
        pytest.param(200, b'{"data":{"instance_id":"i"}}', Live("", "i"), id="wrapped"),
        pytest.param(200, b"<html>", Live(), id="no-json"),
        pytest.param(200, b"[1]", Live(), id="no-object"),
        pytest.param(200, b'{"client_id":7}', Live(), id="odd-type"),
        pytest.param(401, b'{"code":"CREDENTIAL_INVALID"}', Dead("CREDENTIAL_INVALID"), id="dead"),
        pytest.param(402, b"{}", Live("", "", credits=False), id="no-credits"),
        pytest.param(403, b"{}", Unclear(Reason.FORBIDDEN, final=True), id="forbidden"),
        pytest.param(404, b"{}", Unclear(Reason.INVALID), id="not-there"),
        pytest.param(302, b"", Unclear(Reason.INVALID), id="redirect-not-followed"),
        pytest.param(429, b"{}", Unclear(Reason.RATE_LIMITED, 7.0), id="rate-limited"),
        pytest.param(503, b"{}", Unclear(Reason.SERVER_ERROR, 7.0), id="ill"),
    ],
)
def test_answers(sink: Sink, status: int, body: bytes, verdict: Verdict) -> None:
    """Only 401 is a dead key; only 200 and 402 are live ones."""
    sink.answer(status, body, headers={"retry-after": "7"})

    assert ask(sink.url) == verdict


def test_nobody_answers() -> None:
    """What cannot be reached says nothing about the key."""
    assert ask("http://127.0.0.1:1") == Unclear(Reason.UNREACHABLE)


def test_the_key_travels_in_one_header_only(sink: Sink) -> None:
    """As a bearer token, to whoami and nowhere else."""
    ask(sink.url)

    [seen] = sink.seen
    assert (seen.method, seen.path) == ("GET", "/api/v1/auth/whoami")
    assert seen.headers["authorization"] == f"Bearer {NEW}"
    assert seen.body == b""


def test_what_is_no_key_is_not_sent(sink: Sink) -> None:
    """A text of another shape, such as one with a line break, never leaves."""
    assert ask(sink.url, Secret("x\r\nevil: 1")) == Unclear(Reason.WRONG_SHAPE, final=True)
    assert sink.seen == []


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        pytest.param(NEW, "fits", id="key"),
        pytest.param("synap_" + "a" * 39, "", id="short"),
        pytest.param("synap_" + "a" * 101, "", id="long"),
        pytest.param("sk_" + "a" * 60, "", id="other-prefix"),
        pytest.param("synap_" + "ä" * 60, "", id="letters"),
        pytest.param(f" {NEW}", "", id="blank"),
    ],
)
def test_the_shape_of_a_key(text: str, fits: str) -> None:
    """`synap_` and about 60 letters and digits."""
    assert well_formed(Secret(text)) is bool(fits)


@pytest.fixture
def synap() -> Iterator[Sandbox]:
    """Yield a whole Synap under a real server."""
    sandbox = Sandbox(clock=VirtualClock(NOW))
    yield sandbox
    sandbox.close()


def test_against_a_whole_synap(synap: Sandbox) -> None:
    """A key lives with its identity until it is revoked."""
    key = Secret(synap.issue_key())

    live = ask(synap.url, key)
    synap.revoke_key(key.reveal())

    assert live == Live(CLIENT, INSTANCE)
    assert isinstance(ask(synap.url, key), Dead)
