"""The guarded way out: against a real server that answers badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.sink import Sink
from workers.outbound import (
    AddressError,
    Answer,
    BrokenError,
    Outbound,
    OutboundError,
    OversizedError,
    Permanent,
    Reason,
    Retry,
    Sent,
    UnreachableError,
    Verdict,
    classify,
    redact,
    retry_after,
)

NOW = 1_800_000_000.0
CANARY = "c4nary"


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    """Yield a client with short time-outs."""
    client = Outbound(connect=0.3, read=0.3)
    yield client
    client.close()


def test_a_whole_answer_comes_back(outbound: Outbound, sink: Sink) -> None:
    """Status, lower-case headers and body of the answer are returned."""
    sink.answer(202, b"ok", headers={"X-Id": "7"})

    answer = outbound.post(f"{sink.url}/p", b"{}", {"x-own": "1"})

    assert (answer.status, answer.body, answer.headers["x-id"]) == (202, b"ok", "7")
    (seen,) = sink.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/p", b"{}")
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-own"] == "1"


def test_redirects_are_not_followed(outbound: Outbound, sink: Sink) -> None:
    """A redirect is an answer like any other: nothing is sent to where it points."""
    sink.answer(307, headers={"Location": f"{sink.url}/elsewhere"})

    answer = outbound.post(f"{sink.url}/p", b"{}")

    assert answer.status == 307
    assert [seen.path for seen in sink.seen] == ["/p"]


def test_an_answer_that_hangs_is_given_up(outbound: Outbound, sink: Sink) -> None:
    """No answer in time is ambiguous: the request may have been taken."""
    sink.answer(hang=5)

    with pytest.raises(BrokenError) as caught:
        outbound.post(f"{sink.url}/{CANARY}", b"{}")

    assert caught.value.reason == Reason.DEADLINE
    assert caught.value.ambiguous
    assert CANARY not in str(caught.value)


def test_an_answer_that_drips_is_given_up() -> None:
    """A server that sends a byte now and then holds a worker no longer than one that hangs."""
    ticks = iter(range(0, 1000, 5))
    client = Outbound(connect=1, read=3, clock=lambda: float(next(ticks)))

    with dripping() as url, pytest.raises(BrokenError) as caught:
        client.post(url, b"{}")

    client.close()
    assert caught.value.reason == Reason.DEADLINE


def test_an_answer_that_breaks_off_is_ambiguous(outbound: Outbound) -> None:
    """A connection that closes after the request may have delivered it."""
    with answering(b"") as url, pytest.raises(BrokenError) as caught:
        outbound.post(url, b"{}")

    assert (caught.value.reason, caught.value.ambiguous) == (Reason.OTHER, True)


def test_an_oversized_answer_is_not_read(outbound: Outbound, sink: Sink) -> None:
    """More than 64 KiB is nobody's honest answer."""
    sink.answer(200, b"x" * 70_000)

    with pytest.raises(OversizedError):
        outbound.post(sink.url, b"{}")


def test_a_refused_connection_sent_nothing(outbound: Outbound) -> None:
    """Where nobody listens nothing was sent: no doubt about it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{CANARY}"

        with pytest.raises(UnreachableError) as caught:
            outbound.post(url, b"{}")

    assert not caught.value.ambiguous
    assert CANARY not in str(caught.value)


def test_a_connection_that_never_stands_sent_nothing() -> None:
    """Where nobody takes the connection in time nothing was sent."""
    client = Outbound(connect=0.2, read=0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(full.getsockname())
        with pytest.raises(UnreachableError) as caught:
            client.post(f"http://127.0.0.1:{full.getsockname()[1]}/", b"{}")
        for one in waiting:
            one.close()
    client.close()

    assert (caught.value.reason, caught.value.ambiguous) == (Reason.DEADLINE, False)


@pytest.mark.parametrize("url", ["", "ftp://h/x", "https://", "h/x", "http://[::1", "file:///x"])
def test_only_http_urls_are_called(outbound: Outbound, url: str) -> None:
    """What is no http or https URL is refused for good."""
    with pytest.raises(AddressError) as caught:
        outbound.post(url, b"{}")

    assert isinstance(classify(caught.value, NOW), Permanent)


def test_a_url_with_control_characters_is_refused(outbound: Outbound) -> None:
    """A URL that smuggles a line break is never sent."""
    with pytest.raises(OutboundError):
        outbound.post("http://127.0.0.1:1/\r\nx: y", b"{}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("https://u:p@h:8443/x?k=v", "https://h:8443/<redacted>", id="all-parts"),
        pytest.param("https://hooks.slack.com/s/T/B", "https://hooks.slack.com/<redacted>", id="s"),
        pytest.param("rubbish", "<redacted>", id="no-url"),
        pytest.param("http://h:port/", "<redacted>", id="bad-port"),
    ],
)
def test_redaction(url: str, shown: str) -> None:
    """Of a URL only scheme and host are shown."""
    assert redact(url) == shown


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        pytest.param(200, {}, Sent(), id="200"),
        pytest.param(202, {}, Sent(), id="202"),
        pytest.param(302, {}, Permanent(Reason.OTHER, "status 302"), id="302"),
        pytest.param(400, {}, Permanent(Reason.CLIENT_ERROR, "status 400"), id="400"),
        pytest.param(401, {}, Permanent(Reason.AUTH_ERROR, "status 401"), id="401"),
        pytest.param(403, {}, Permanent(Reason.AUTH_ERROR, "status 403"), id="403"),
        pytest.param(404, {}, Permanent(Reason.CLIENT_ERROR, "status 404"), id="404"),
        pytest.param(408, {}, Retry(Reason.CLIENT_ERROR, "status 408"), id="408"),
        pytest.param(413, {}, Permanent(Reason.TOO_LARGE, "status 413"), id="413"),
        pytest.param(425, {}, Retry(Reason.CLIENT_ERROR, "status 425"), id="425"),
        pytest.param(429, {}, Retry(Reason.RATE_LIMITED, "status 429"), id="429"),
        pytest.param(
            429, {"retry-after": "7"}, Retry(Reason.RATE_LIMITED, "status 429", 7.0), id="429-after"
        ),
        pytest.param(500, {}, Retry(Reason.SERVER_ERROR, "status 500"), id="500"),
        pytest.param(
            503, {"retry-after": "0"}, Retry(Reason.SERVER_ERROR, "status 503", 0.0), id="503-after"
        ),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], expected: Verdict) -> None:
    """B28, D2: 2xx is accepted; 5xx, 408, 425 and 429 are tried again; the rest is final."""
    assert classify(Answer(status, headers, b""), NOW) == expected


@pytest.mark.parametrize(
    ("error", "ambiguous", "reason"),
    [
        pytest.param(UnreachableError("x", Reason.DEADLINE), False, Reason.DEADLINE, id="connect"),
        pytest.param(BrokenError("x"), True, Reason.OTHER, id="broken"),
        pytest.param(OversizedError("x"), True, Reason.OTHER, id="oversized"),
    ],
)
def test_what_no_answer_means(error: OutboundError, reason: Reason, *, ambiguous: bool) -> None:
    """A call without an answer is tried again, and marked if it may have arrived."""
    assert classify(error, NOW) == Retry(reason, "x", None, ambiguous)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry-after": "120"}, 120.0, id="seconds"),
        pytest.param({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60.0, id="date"),
        pytest.param({"retry-after": "Fri, 15 Jan 2016 08:01:00 GMT"}, 0.0, id="date-gone-by"),
        pytest.param({"retry-after": "soon"}, None, id="rubbish"),
        pytest.param({"retry-after": "-5"}, None, id="negative"),
        pytest.param({"x-ratelimit-reset": "9"}, 9.0, id="rate-limit-reset"),
        pytest.param({"x-ratelimit-reset": "x"}, None, id="rubbish-reset"),
        pytest.param({}, None, id="none"),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    """D2: Retry-After is seconds or an HTTP date; X-Ratelimit-Reset is seconds."""
    assert retry_after(headers, NOW) == expected


class answering:  # noqa: N801 - reads like a function
    """A server that reads a request, sends these pieces, and closes."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65_536)
            for piece in self._pieces:
                connection.sendall(piece)


def dripping() -> answering:
    """Return a server whose answer comes in two pieces."""
    return answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"12345", b"6789")
