"""`synap-hooks send`."""

from __future__ import annotations

import pytest

from receiver.event import KINDS, kind_of, parse
from receiver.signature import SigningKey, verify
from tests.build import NOW, SECRET
from tests.servers import free_port
from tests.sink import Answer, Sink
from tests.workers.cli.command import Command
from workers.cli.samples import DATA


@pytest.fixture
def sender() -> Command:
    """Return the command with a signing secret and no Redis."""
    return Command(SYNAP_WEBHOOK_SECRET=SECRET)


def test_a_signed_sample_of_each_type(sender: Command, sink: Sink) -> None:
    """Every kind is sent once, signed, dated now, and readable as an event."""
    sink.answer(202, b'{"status":"accepted"}')

    assert sender("send", f"{sink.url}/webhooks/synap") == 0

    key = SigningKey("env", SECRET.encode())
    events = []
    for seen in sink.seen:
        assert verify(seen.body, seen.headers["x-synap-signature"].encode(), [key]) == key
        events.append(parse(seen.body, endpoint="default", received_at=NOW))
    assert {kind_of(event.type) for event in events} == set(KINDS)
    assert {event.timestamp for event in events} == {NOW}
    assert len({event.id for event in events}) == len(DATA) == len(sender.out.splitlines()) - 1
    assert "202     " in sender.out


def test_one_type_for_programs(sender: Command, sink: Sink) -> None:
    """The document names what was sent and what was answered; credentials in the URL are hidden."""
    sink.answer(200, b'{"status":"duplicate"}')
    url = sink.url.replace("http://", "http://me:pass@")

    assert sender("send", f"{url}/webhooks/synap", "--type", "config.applied", "--json") == 0

    [sent] = sender.document["sent"]
    assert sender.document["url"] == f"{sink.url.replace('http://', 'http://***@')}/webhooks/synap"
    assert (sent["type"], sent["status"]) == ("config.applied", 200)
    assert sent["answer"] == '{"status":"duplicate"}'
    assert sent["event_id"] == sink.seen[0].json["event_id"]


@pytest.mark.parametrize("status", [302, 401, 503])
def test_a_refusal_is_a_negative_answer(sender: Command, sink: Sink, status: int) -> None:
    """What Synap would not count as delivered ends with 1; redirects are not followed."""
    sink.answer_next(Answer(202), Answer(status, b"no\x1b[31m", {"location": sink.url}))

    assert sender("send", sink.url, "--type", "config.applied", "--type", "ingestion.failed") == 1
    assert str(status) in sender.out
    assert "\x1b" not in sender.out
    assert len(sink.seen) == 2


def test_nobody_listens(sender: Command) -> None:
    """A URL that gives no answer ends with 4."""
    assert sender("send", f"http://127.0.0.1:{free_port()}/") == 4
    assert "gave no answer" in sender.err


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "webhooks", "http://", "http://[::1", ""])
def test_no_url(sender: Command, url: str) -> None:
    """What is no URL ends with 2 and shows one."""
    assert sender("send", url) == 2
    assert "write http://host:port/webhooks/synap" in sender.err


def test_no_secret(sink: Sink) -> None:
    """Without a signing secret nothing is sent."""
    assert Command()("send", sink.url) == 2
    assert sink.seen == []
