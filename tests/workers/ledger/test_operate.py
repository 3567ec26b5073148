"""What operators do: replay, discard, release; each with its line of history."""

from __future__ import annotations

import time

import pytest
from redis import Redis
from rq import Queue

from receiver.batch import quarantine_key
from receiver.errors import Flaw
from tests.accept import KEYS, accept, commit, submission
from tests.build import NOW, make_event
from tests.workers.ledger.test_transitions import claimed, settle
from workers.ledger.books import Books
from workers.ledger.listing import Listing
from workers.ledger.operate import NotReleasableError, Operator
from workers.ledger.transitions import Ledger, Settlement, Verdict


@pytest.fixture
def operator(redis: Redis, ledger: Ledger) -> Operator:
    """Return the actions of a person called dana."""
    return Operator(redis, KEYS, ledger, actor="dana", dedup_window=32 * 86_400.0)


@pytest.fixture
def listing(redis: Redis) -> Listing:
    """Return the ledger's listing."""
    return Listing(redis, KEYS)


def died(redis: Redis, url: str, ledger: Ledger) -> str:
    """Return the key of an event that was given up."""
    [key] = accept(url, 1, now=NOW)
    redis.delete("rq:queue:events-bulk")
    claim = claimed(ledger, redis, key)
    settle(ledger, Settlement(key, claim.fence, Verdict.DEAD, "handler_error"))
    return key


def law_holds(redis: Redis) -> bool:
    """Say whether every event is accounted for."""
    return not any(Books(redis, KEYS).snapshot(NOW).unaccounted.values())


def test_a_replayed_dead_letter_lives_again(
    redis: Redis, redis_url: str, ledger: Ledger, operator: Operator, listing: Listing
) -> None:
    """A replay forgets the attempts, pushes a job of one, and is written down."""
    key = died(redis, redis_url, ledger)

    moved, again = operator.replay([key], now=NOW), operator.replay(["0" * 64], now=NOW)

    claim = claimed(ledger, redis, key)
    [line] = listing.history(10)
    assert (moved, again, claim.attempts) == ([key], [], 0)
    assert (line.actor, line.action, line.subject) == ("dana", "replay", key)
    assert redis.hget(KEYS.counters, "dead_bytes") == b"0"
    assert law_holds(redis)


def test_a_discarded_dead_letter_leaves_only_its_identity(
    redis: Redis, redis_url: str, ledger: Ledger, operator: Operator, listing: Listing
) -> None:
    """A discard deletes the body, keeps the identity for deduplication, and is written down."""
    key = died(redis, redis_url, ledger)

    done, again = operator.discard_dead([key], now=NOW), operator.discard_dead([key], now=NOW)

    [line] = listing.history(10)
    row = listing.show(key)
    assert row
    assert (done, again, row.state) == ([key], [], "discarded")
    assert listing.body(key) is None
    assert (line.actor, line.action, line.subject) == ("dana", "discard-dead", key)
    assert law_holds(redis)


def test_a_settled_event_cannot_be_discarded(
    redis: Redis, redis_url: str, operator: Operator
) -> None:
    """Only dead letters are discarded; anything else is left alone."""
    [key] = accept(redis_url)

    assert operator.discard_dead([key], now=NOW) == []
    assert law_holds(redis)


def test_a_released_body_is_accepted_whatever_its_age(
    redis: Redis, redis_url: str, operator: Operator, listing: Listing
) -> None:
    """A release turns a stale body into an event in flight, counted as released."""
    item = submission(make_event(), flaw=Flaw.STALE)
    commit(redis_url, [item])
    key = quarantine_key("default", item.raw)

    released, again = operator.release([key], now=NOW), operator.release([key], now=NOW)

    [event_key] = released
    row = listing.show(event_key)
    assert row
    assert row.event
    assert (row.state, row.event.id, again) == ("inflight", "evt_1", [])
    assert list(listing.quarantine()) == []
    assert Queue("events-bulk", connection=redis).count == 1
    assert redis.hgetall(KEYS.held) == {b"bodies:default": b"0", b"bytes:default": b"0"}
    assert law_holds(redis)


def test_a_released_conflict_becomes_an_event_of_its_own(
    redis: Redis, redis_url: str, operator: Operator, listing: Listing
) -> None:
    """Two bodies under one id are two events once a person says so."""
    [first] = accept(redis_url)
    body = make_event(event_id="evt_ingestion.failed_0", correlation_id="else")
    item = submission(body, flaw=Flaw.CONFLICT)
    commit(redis_url, [item])

    [released] = operator.release([quarantine_key("default", item.raw)], now=NOW)

    assert released != first
    assert {row.key for row in listing.events("inflight")} == {first, released}
    assert law_holds(redis)


@pytest.mark.parametrize(
    ("body", "flaw", "reason"),
    [
        pytest.param(b"no json", Flaw.NOT_JSON, "not_json", id="unreadable"),
        pytest.param(b'{"event_id": "a"}', Flaw.NO_TYPE, "no_type", id="without-a-type"),
    ],
)
def test_what_cannot_be_read_cannot_be_released(
    redis_url: str, operator: Operator, body: bytes, flaw: Flaw, reason: str
) -> None:
    """A body that no handler could read is refused, and stays where it is."""
    commit(redis_url, [submission(body, flaw=flaw)])

    with pytest.raises(NotReleasableError) as refused:
        operator.release([quarantine_key("default", body)], now=NOW)

    assert refused.value.reason == reason


def test_a_discarded_body_leaves_quarantine(
    redis: Redis, redis_url: str, operator: Operator, listing: Listing
) -> None:
    """A discarded body is gone, its room is free again, and it is written down."""
    commit(redis_url, [submission(b"no json", flaw=Flaw.NOT_JSON)])
    key = quarantine_key("default", b"no json")

    assert operator.discard_quarantined([key, key], now=NOW) == [key]
    assert [line.action for line in listing.history(10)] == ["discard-quarantined"]
    assert redis.hgetall(KEYS.held) == {b"bodies:default": b"0", b"bytes:default": b"0"}


def test_expiry_leaves_no_history(redis_url: str, operator: Operator, listing: Listing) -> None:
    """What expires is deleted without a line: nobody did it."""
    commit(redis_url, [submission(b"no json", flaw=Flaw.NOT_JSON)])

    operator.expire_quarantined([quarantine_key("default", b"no json")], now=NOW)

    assert (list(listing.quarantine()), listing.history(10)) == ([], [])


def test_the_listing_shows_events_by_state(
    redis: Redis, redis_url: str, ledger: Ledger, listing: Listing
) -> None:
    """Each state lists its events with what is known of them."""
    dead = died(redis, redis_url, ledger)
    [flying] = accept(redis_url, event_type="config.applied", now=time.time())

    rows = {
        state: [(row.key, row.kind, row.reason) for row in listing.events(state)]
        for state in ("inflight", "dead", "done")
    }

    assert rows == {
        "inflight": [(flying, "config.applied", "")],
        "dead": [(dead, "ingestion.failed", "handler_error")],
        "done": [],
    }
