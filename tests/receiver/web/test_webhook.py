"""Every answer of the edge, and that no input gets another one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.batch import Outcome
from receiver.errors import Flaw, Shortage, UnavailableError
from tests.build import INSTANCE, SECRET, iso, make_event, signed
from tests.receiver.web.asgi import PATH, Bench, Reply, ask

NOW = 1_800_000_000.0
DAY = 86_400.0


def dated(age: float, **overrides: Any) -> bytes:
    """Return a body of that age in seconds at NOW."""
    return orjson.dumps(make_event(**{"timestamp": iso(NOW - age), **overrides}))


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        pytest.param(Outcome.ACCEPTED, 202, "accepted", id="committed"),
        pytest.param(Outcome.DUPLICATE, 200, "duplicate", id="already committed"),
        *(
            pytest.param(UnavailableError(shortage), 503, "unavailable", id=shortage.value)
            for shortage in Shortage
        ),
        pytest.param(RuntimeError("unforeseen"), 503, "unavailable", id="unforeseen"),
    ],
)
async def test_outcomes(outcome: Outcome | Exception, status: int, code: str) -> None:
    """What the commit says is what the sender hears."""
    bench = Bench(outcome)

    reply = await bench.post(*signed())

    assert (reply.status, reply.code) == (status, code)
    assert reply.headers.get("retry-after") == ("30" if status == 503 else None)
    assert reply.headers["content-type"] == "application/json"


FLAWED = [
    pytest.param(b"", Flaw.NOT_JSON, id="empty"),
    pytest.param(b'{"a":NaN}', Flaw.NOT_JSON, id="NaN"),
    pytest.param(b"[" * 100_000, Flaw.NOT_JSON, id="nested brackets"),
    pytest.param(b'{"event_id":"\\ud800","event_type":"a"}', Flaw.NOT_JSON, id="lone surrogate"),
    pytest.param('{"event_id":"1"}'.encode("utf-16"), Flaw.NOT_JSON, id="UTF-16"),
    pytest.param(b"\xff\xfe", Flaw.NOT_JSON, id="not UTF-8"),
    pytest.param(b"[]", Flaw.NOT_OBJECT, id="array"),
    pytest.param(b"null", Flaw.NOT_OBJECT, id="null"),
    pytest.param(orjson.dumps(make_event(event_type=None)), Flaw.NO_TYPE, id="no type"),
    pytest.param(orjson.dumps(make_event(event_type=7)), Flaw.NO_TYPE, id="numeric type"),
    pytest.param(orjson.dumps(make_event(event_id=None)), Flaw.NO_ID, id="no id"),
    pytest.param(orjson.dumps(make_event(event_id="x" * 513)), Flaw.NO_ID, id="endless id"),
    pytest.param(orjson.dumps(make_event(timestamp=None)), Flaw.NO_TIMESTAMP, id="no time"),
    pytest.param(orjson.dumps(make_event(timestamp="today")), Flaw.NO_TIMESTAMP, id="no date"),
    pytest.param(dated(31 * DAY + 1), Flaw.STALE, id="stale"),
    pytest.param(dated(-301), Flaw.FUTURE, id="dated ahead"),
    pytest.param(dated(0, timestamp="0001-01-01T00:00:00+23:59"), Flaw.STALE, id="year 1"),
    pytest.param(dated(0, timestamp="9999-12-31T23:59:59-23:59"), Flaw.FUTURE, id="year 9999"),
]


@pytest.mark.parametrize(("body", "flaw"), FLAWED)
async def test_quarantine(body: bytes, flaw: Flaw) -> None:
    """An authentic body that cannot be processed is kept, answered 202 and counted by flaw."""
    bench = Bench(Outcome.QUARANTINED, clock=lambda: NOW)

    reply = await bench.post(*signed(body))

    assert (reply.status, reply.code) == (202, "quarantined")
    assert bench.commits.seen[0].flaw is flaw
    assert bench.commits.seen[0].raw == body
    assert bench.metric("events_quarantined_total", reason=flaw.value) == 1
    assert bench.lines[0]["flaw"] == flaw.value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(dated(31 * DAY), id="as old as allowed"),
        pytest.param(dated(-300), id="as far ahead as allowed"),
        pytest.param(dated(0, event_type="brand.new"), id="unknown type"),
        pytest.param(dated(0, event_id='a\u0000"b'), id="NUL and quote in the id"),
        pytest.param(dated(0, event_id=7), id="numeric id"),
    ],
)
async def test_processable(body: bytes) -> None:
    """What is odd but can be processed is accepted."""
    bench = Bench(clock=lambda: NOW)

    reply = await bench.post(*signed(body))

    assert (reply.status, reply.code) == (202, "accepted")
    assert bench.commits.seen[0].flaw is None


class Trap(float):
    """A freshness window that breaks when it meets an event a thousand seconds old."""

    def __lt__(self, age: float) -> bool:
        """Compare, as `age > window` does."""
        if age > 1000:
            raise RuntimeError("unforeseen")
        return super().__lt__(age)


async def test_what_breaks_one_delivery_leaves_its_neighbours_alone() -> None:
    """Deliveries of one turn are judged together, and each has an answer of its own."""
    bench = Bench(clock=lambda: NOW)
    bench.webhook._freshness_window = Trap(DAY)
    bodies = [dated(age, event_id=f"evt_{age:.0f}") for age in (1.0, 2000.0, 2.0)]

    async with asyncio.timeout(5):
        replies = await asyncio.gather(*(bench.post(*signed(body)) for body in bodies))

    assert [reply.status for reply in replies] == [202, 503, 202]
    assert [item.raw for item in bench.commits.seen] == [bodies[0], bodies[2]]


async def test_a_conflict_goes_to_quarantine() -> None:
    """A known identity with another body is submitted again, as flawed."""
    bench = Bench(Outcome.CONFLICT, Outcome.QUARANTINED)

    reply = await bench.post(*signed())

    assert (reply.status, reply.code) == (202, "quarantined")
    assert [item.flaw for item in bench.commits.seen] == [None, Flaw.CONFLICT]
    assert bench.metric("events_quarantined_total", reason="conflict") == 1


BODY, GOOD = signed()
SIGNATURE = GOOD["x-synap-signature"].encode()
HEADER = b"x-synap-signature"


@pytest.mark.parametrize(
    ("headers", "path", "reason"),
    [
        pytest.param([], PATH, "signature_missing", id="missing"),
        pytest.param([(HEADER, b"")], PATH, "signature_malformed", id="empty"),
        pytest.param([(HEADER, SIGNATURE[7:])], PATH, "signature_malformed", id="no scheme"),
        pytest.param([(HEADER, SIGNATURE.upper())], PATH, "signature_malformed", id="upper case"),
        pytest.param([(HEADER, SIGNATURE + b"\n")], PATH, "signature_malformed", id="newline"),
        pytest.param([(HEADER, b"\xff\xc3")], PATH, "signature_malformed", id="not ASCII"),
        pytest.param([(HEADER, SIGNATURE)] * 2, PATH, "signature_malformed", id="twice"),
        pytest.param([(HEADER, b"sha256=" + b"0" * 64)], PATH, "signature_mismatch", id="wrong"),
        pytest.param([(HEADER, SIGNATURE)], f"{PATH}/nobody", "endpoint_unknown", id="endpoint"),
        pytest.param([(HEADER, SIGNATURE)], f"{PATH}/{'x' * 9999}", "endpoint_unknown", id="long"),
    ],
)
async def test_unauthorized(headers: list[tuple[bytes, bytes]], path: str, reason: str) -> None:
    """Every failure of authentication has one answer; only our side knows the reason."""
    bench = Bench()

    reply = await ask(bench.app, [(BODY, False)], headers, path=path)

    assert reply.status == 401
    assert reply.body == (
        b'{"error":"The signature is missing or does not hold.","code":"unauthorized"}'
    )
    assert not bench.commits.seen
    assert [(line["status"], line["reason"]) for line in bench.lines] == [(401, reason)]
    assert bench.metric("requests_answered_total", status="401", reason=reason) == 1


async def test_the_named_default_endpoint() -> None:
    """The default endpoint answers under its name as well."""
    bench = Bench()

    reply = await bench.post(*signed(), path=f"{PATH}/default")

    assert reply.code == "accepted"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods(method: str) -> None:
    """Another method is told which one is meant."""
    reply = await ask(Bench().app, [(b"", False)], method=method)

    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", f"{PATH}/", f"{PATH}/a/b", "/webhooks", "/metrics", ""])
async def test_other_paths(path: str) -> None:
    """Another path is not found, and not redirected either."""
    bench = Bench()

    reply = await ask(bench.app, [(b"", False)], path=path)

    assert (reply.status, reply.code) == (404, "not_found")
    assert bench.lines[0]["reason"] == "not_found"


async def test_a_body_in_parts() -> None:
    """A body that comes in parts is one body, and its bytes are given back."""
    bench = Bench()
    parts = [(BODY[:10], True), (b"", True), (BODY[10:], False)]

    reply = await ask(bench.app, parts, [(HEADER, SIGNATURE)])

    assert reply.code == "accepted"
    assert bench.metric("body_bytes_pending") == 0


@pytest.mark.parametrize(
    ("parts", "headers"),
    [
        pytest.param([(b"", False)], [(b"content-length", b"1025")], id="declared"),
        pytest.param([(b"", False)], [(b"content-length", b"9" * 40)], id="declared absurdly"),
        pytest.param([(b"x" * 1025, False)], [], id="at once"),
        pytest.param([(b"x" * 1024, True), (b"x", False)], [], id="in parts"),
        pytest.param([(b"x", True), (b"x" * 1024, True)], [(b"content-length", b"2")], id="lying"),
    ],
)
async def test_too_large(
    parts: list[tuple[bytes, bool]], headers: list[tuple[bytes, bytes]]
) -> None:
    """A body over the limit is refused, whether it says so or just is."""
    bench = Bench(SYNAP_MAX_BODY_BYTES="1024")

    reply = await ask(bench.app, parts, headers)

    assert (reply.status, reply.code) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"
    assert bench.metric("body_bytes_pending") == 0


async def test_a_client_that_leaves() -> None:
    """Nobody is left to answer; the line says so."""
    bench = Bench()

    replies = [await ask(bench.app, parts) for parts in ([None], [(b"x", True), None])]

    assert [reply.status for reply in replies] == [0, 0]
    assert [(line["status"], line["reason"]) for line in bench.lines] == [(499, "disconnected")] * 2


async def test_the_canonical_line() -> None:
    """One line says what came, from whom, what it was and how it ended."""
    bench = Bench()
    body = orjson.dumps(make_event(event_id="evt_" + "x" * 200))

    await bench.post(*signed(body))

    (line,) = bench.lines
    duration = line.pop("duration_ms")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request.answered",
        "status": 202,
        "reason": "accepted",
        "endpoint": "default",
        "key": "key-1",
        "type": "ingestion.failed",
        "event_id": "evt_" + "x" * 124,
        "correlation_id": "corr_1",
        "instance_id": INSTANCE,
        "bytes": len(body),
    }
    assert 0 < duration < 1000


async def test_counts() -> None:
    """Accepted, duplicate and verified requests are counted by type and key label."""
    bench = Bench(Outcome.ACCEPTED, Outcome.DUPLICATE)

    await asyncio.gather(*(bench.post(*signed()) for _ in range(3)))

    kind = "ingestion.failed"
    assert bench.metric("events_accepted_total", type=kind) == 1
    assert bench.metric("events_duplicate_total", type=kind) == 2
    assert bench.metric("requests_verified_total", endpoint="default", key="key-1") == 3
    assert bench.metric("requests_answered_total", status="200", reason="duplicate") == 2
    assert bench.metric("request_duration_seconds_count") == 3


async def test_nothing_secret_is_logged() -> None:
    """Neither the secret, nor a signature, nor a payload, nor a stranger's path is in a line."""
    bench = Bench(Outcome.QUARANTINED)
    canary = "canary-canary-canary"
    forged = [(HEADER, b"sha256=" + b"ab" * 32)]

    await bench.post(*signed(orjson.dumps(make_event(data={"error_message": canary}))))
    await bench.post(*signed(f'"{canary}"'.encode()))
    await ask(bench.app, [(canary.encode(), False)], forged, path=f"{PATH}/{canary}")
    await ask(bench.app, [(b"", False)], path=f"/{canary}")

    text = bench.out.getvalue()
    assert len(bench.lines) == 4
    for secret in (canary, SECRET, SIGNATURE[7:].decode(), "abab"):
        assert secret.encode() not in text


@settings(max_examples=150, deadline=None)
@given(header=st.lists(st.binary(max_size=100), max_size=3), body=st.binary(max_size=300))
def test_any_header_and_body(header: list[bytes], body: bytes) -> None:
    """Whatever the header and the body are, the answer is one of ours."""

    async def deliver() -> tuple[int, str]:
        bench = Bench()
        reply = await ask(bench.app, [(body, False)], [(HEADER, text) for text in header])
        return reply.status, reply.code

    assert asyncio.run(deliver()) == (401, "unauthorized")


def encoded(value: dict[str, Any]) -> bytes:
    """Return JSON, or what cannot be JSON (lone surrogates, huge numbers) as text."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).encode(errors="replace")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["event_id", "id", "event_type", "type", "timestamp", "created_at", "data", "correlation_id"]
)
DATES = st.datetimes().map(lambda moment: moment.isoformat())


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60) | st.dictionaries(FIELDS, JSON | DATES).map(encoded))
def test_any_signed_body(body: bytes) -> None:
    """Whatever Synap signs, it is accepted or quarantined, and one line is written."""

    async def deliver() -> tuple[Reply, list[dict[str, Any]]]:
        bench = Bench()
        return await bench.post(*signed(body)), bench.lines

    reply, lines = asyncio.run(deliver())

    assert (reply.status, reply.code) == (202, "accepted")
    assert [line["reason"] for line in lines] == ["accepted"]


async def test_the_clock_is_read_once_per_request() -> None:
    """The time of receipt is the clock's, not the sender's."""
    bench = Bench(clock=time.time)

    await bench.post(*signed())

    assert abs(bench.commits.seen[0].received_at - time.time()) < 60
