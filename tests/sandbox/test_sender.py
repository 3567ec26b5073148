"""The sandbox as a sender: signatures, the retry schedule, duplicates, disorder, the Dashboard."""

from __future__ import annotations

import pytest

from receiver.signature import SigningKey, verify
from tests.build import NOW, SECRET
from tests.sandbox import Sender, VirtualClock, http_post
from tests.sandbox.sender import AGES
from tests.sink import Answer, Sink

HOUR = 3600.0


class Endpoint:
    """An endpoint that answers as told, and notes when."""

    def __init__(self, clock: VirtualClock, *statuses: int) -> None:
        self.clock, self.statuses = clock, list(statuses)
        self.came: list[tuple[float, bytes]] = []

    def __call__(self, body: bytes, signature: str) -> int:
        """Take a delivery, whose signature must hold."""
        verify(body, signature.encode(), [SigningKey("own", SECRET.encode())])
        self.came.append((self.clock() - NOW, body))
        return self.statuses.pop(0) if self.statuses else 202


def event(name: str = "evt_1") -> dict[str, str]:
    """Return the least body."""
    return {"event_id": name}


@pytest.fixture
def clock() -> VirtualClock:
    """Return a clock that stands at NOW."""
    return VirtualClock(NOW)


def test_it_is_sent_once_when_it_is_taken(clock: VirtualClock) -> None:
    """A 2xx ends it."""
    endpoint = Endpoint(clock)
    sender = Sender(endpoint, SECRET, clock)

    delivery = sender.send(event())
    sender.advance(24 * HOUR)

    assert (delivery.state, delivery.statuses) == ("delivered", [202])


def test_the_documented_schedule(clock: VirtualClock) -> None:
    """Six attempts at 0, 1 m, 6 m, 36 m, 2 h 36 m and 14 h 36 m, then it is failed."""
    endpoint = Endpoint(clock, 503, 0, 500, 404, 302, 503)
    sender = Sender(endpoint, SECRET, clock)

    delivery = sender.send(event())
    sender.advance(48 * HOUR)

    assert [at for at, _ in endpoint.came] == list(AGES)
    assert list(AGES) == [0, 60, 360, 2160, 9360, 52560]
    assert (delivery.state, clock() - NOW) == ("failed", 48 * HOUR)


def test_a_person_may_send_it_again(clock: VirtualClock) -> None:
    """A failed event can be sent again from the Dashboard for 30 days, and no other."""
    endpoint = Endpoint(clock, *[503] * 6)
    sender = Sender(endpoint, SECRET, clock)
    sender.send(event())
    with pytest.raises(LookupError, match="pending"):
        sender.resend("evt_1")
    sender.advance(24 * HOUR)

    assert sender.resend("evt_1") == 202
    with pytest.raises(LookupError, match="delivered"):
        sender.resend("evt_1")


def test_duplicates_and_disorder(clock: VirtualClock) -> None:
    """The same event may come twice, and later ones before earlier ones."""
    endpoint = Endpoint(clock)
    sender = Sender(endpoint, SECRET, clock)

    sender.send_disordered([event("a"), event("b")])
    sender.duplicate("a")

    assert [body for _, body in endpoint.came] == [
        b'{"event_id":"b"}',
        b'{"event_id":"a"}',
        b'{"event_id":"a"}',
    ]


def test_over_http(clock: VirtualClock, sink: Sink) -> None:
    """A delivery is a POST of JSON with its signature; nobody there counts as no answer."""
    sink.answer_next(Answer(503), Answer(202))
    sender = Sender(http_post(f"{sink.url}/hook"), SECRET, clock)

    delivery = sender.send(event())
    sender.advance(60)
    nobody = Sender(http_post("http://127.0.0.1:1/"), SECRET, clock).send(event())

    assert (delivery.statuses, nobody.statuses) == ([503, 202], [0])
    seen = sink.seen[0]
    assert (seen.method, seen.path, seen.json) == ("POST", "/hook", {"event_id": "evt_1"})
    assert seen.headers["x-synap-signature"].startswith("sha256=")
