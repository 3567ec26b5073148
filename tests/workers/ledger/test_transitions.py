"""Claim, start, settle, retry: every transition with its fence."""

from __future__ import annotations

from statistics import median

import pytest
from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue
from rq.serializers import JSONSerializer

from receiver.batch import Outcome
from tests.accept import KEYS, accept, commit, record, submission
from tests.build import NOW, make_event
from tests.workers.ledger.conftest import MARK
from workers.ledger.books import Books
from workers.ledger.transitions import Claim, Effect, Ledger, Seen, Settlement, Verdict

LEASE = 30.0


def job_of(redis: Redis, queue: str = "events-bulk") -> str:
    """Return the id of the only job on a queue."""
    [job_id] = Queue(queue, connection=redis, serializer=JSONSerializer).job_ids
    return job_id


def claimed(ledger: Ledger, redis: Redis, key: str, *, now: float = NOW) -> Claim:
    """Return the claim of one event under its own job."""
    job = record(redis, key)["job"]
    [claim] = ledger.claim(job, [key], now=now, lease=LEASE)
    return claim


def settle(ledger: Ledger, *items: Settlement, now: float = NOW) -> list[bool]:
    """Settle and return which settlements held their fence."""
    return ledger.settle(items, now=now, job_id="job", lease=LEASE).written().settled


def test_a_claim_takes_what_belongs_to_the_job(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """A job claims its own events once; a second run of the same job finds them held."""
    keys = accept(redis_url, 3, now=NOW)
    job = job_of(redis)

    first = ledger.claim(job, keys, now=NOW, lease=LEASE)
    second = ledger.claim(job, keys, now=NOW, lease=LEASE)

    assert [(claim.key, claim.fence, claim.attempts) for claim in first] == [
        (key, 1, 0) for key in keys
    ]
    assert second == []


def test_another_job_claims_nothing(redis_url: str, ledger: Ledger) -> None:
    """An event belongs to the job that its record names, and to no other."""
    keys = accept(redis_url, 1)

    assert ledger.claim("batch-forged", keys, now=NOW, lease=LEASE) == []


def test_an_expired_lease_is_taken_over_with_a_higher_fence(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """After its lease an event may be claimed again, and the late worker's write is refused."""
    [key] = accept(redis_url, 1, now=NOW)
    late = claimed(ledger, redis, key, now=NOW)
    owner = claimed(ledger, redis, key, now=NOW + LEASE + 1)

    done = Settlement(key, late.fence, Verdict.DONE, effects=[Effect("mark", ("late",))])
    held = Settlement(key, owner.fence, Verdict.DONE, effects=[Effect("mark", ("owner",))])

    assert settle(ledger, done, held) == [False, True]
    assert redis.lrange("marks", 0, -1) == [b"owner"]


def test_an_effect_that_breaks_moves_nothing(redis: Redis, redis_url: str) -> None:
    """Effects come before the events that they belong to: what broke off can be done again."""
    broken = f"""{MARK}
    effects["break"] = function() error('broken') end"""
    ledger = Ledger(redis, KEYS, dedup_window=86_400.0, fragments=[broken])
    keys = accept(redis_url, 2)
    claims = ledger.claim(job_of(redis), keys, now=NOW, lease=LEASE)
    ends = [
        Settlement(claim.key, claim.fence, Verdict.DONE, effects=[Effect(name, ("once",))])
        for claim, name in zip(claims, ("mark", "break"), strict=True)
    ]

    with pytest.raises(ResponseError, match="broken"):
        settle(ledger, *ends)

    assert [record(redis, key)["state"] for key in keys] == ["inflight", "inflight"]
    assert settle(ledger, ends[0]) == [True]


def test_effects_are_written_once_however_often_it_is_settled(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """An effect happens with its settlement, and a repeated settlement is refused."""
    [key] = accept(redis_url, 1)
    claim = claimed(ledger, redis, key)
    done = Settlement(key, claim.fence, Verdict.DONE, effects=[Effect("mark", ("once",))])

    assert settle(ledger, done, done) == [True, False]
    assert redis.lrange("marks", 0, -1) == [b"once"]


def test_a_start_counts_the_attempt_and_renews_the_lease(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """The attempt is counted in Redis when the event's own handler starts."""
    [key] = accept(redis_url, 1)
    claim = claimed(ledger, redis, key)

    written = ledger.settle([], now=NOW + 5, job_id="job", lease=LEASE, starts=[claim]).written()

    assert written.started == [True]
    held = record(redis, key)
    assert (held["attempts"], held["lease"]) == (1, NOW + 35)


def test_a_start_without_the_fence_is_refused(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """A worker that was overtaken does not start its handler."""
    [key] = accept(redis_url, 1)
    late = claimed(ledger, redis, key)
    claimed(ledger, redis, key, now=NOW + LEASE + 1)

    written = ledger.settle([], now=NOW, job_id="job", lease=LEASE, starts=[late]).written()

    assert written.started == [False]
    assert "attempts" not in record(redis, key)


def test_a_settled_event_leaves_a_small_tombstone(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """A settled event's body lives a day; at most 256 bytes stay for the dedup window."""
    keys = accept(redis_url, 5, now=NOW)
    for claim in ledger.claim(job_of(redis), keys, now=NOW, lease=LEASE):
        settle(ledger, Settlement(claim.key, claim.fence, Verdict.DONE, "nothing to do"))

    key, tombstone = keys[0], KEYS.event(keys[0])
    held = record(redis, key)
    assert (held["state"], held["kind"]) == ("done", "ingestion.failed")
    # the allocator may give any one of them a little more than it asked for
    assert median(redis.memory_usage(KEYS.event(key)) for key in keys) <= 256
    assert 32 * 86_400 - 5 <= redis.ttl(tombstone) <= 32 * 86_400
    assert 86_395 <= redis.ttl(KEYS.body(key)) <= 86_400
    assert redis.zcard(KEYS.inflight("ingestion.failed")) == 0


def test_a_tombstone_still_answers_duplicate(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """A known identity answers `duplicate` long after it is settled."""
    item = submission(make_event(), now=NOW)
    commit(redis_url, [item], now=NOW)
    assert item.event
    claim = claimed(ledger, redis, item.event.key)
    settle(ledger, Settlement(claim.key, claim.fence, Verdict.DONE))

    assert commit(redis_url, [item], now=NOW + 20 * 86_400) == [Outcome.DUPLICATE]


def test_a_failed_attempt_waits_for_its_time(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """A retry waits in the ledger until it is due, then comes back under a new job."""
    [key] = accept(redis_url, 1, now=NOW)
    first = claimed(ledger, redis, key)
    retry = Settlement(key, first.fence, Verdict.RETRY, "handler_error", NOW + 60)
    settle(ledger, retry)
    redis.delete("rq:queue:events-bulk")

    early, due = ledger.enqueue_due(NOW + 59), ledger.enqueue_due(NOW + 60)

    again = claimed(ledger, redis, key, now=NOW + 61)
    assert (early, due) == (0, 1)
    assert again.fence == first.fence + 1
    assert record(redis, key)["job"] == job_of(redis)


def test_two_ticks_give_a_due_retry_one_job(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """Whoever comes second finds the event as it was no more, and pushes nothing."""
    [key] = accept(redis_url, 1, now=NOW)
    claim = claimed(ledger, redis, key)
    settle(ledger, Settlement(key, claim.fence, Verdict.RETRY, "handler_error", NOW))
    redis.delete("rq:queue:events-bulk")

    seen = [Seen(key, "inflight", "")]
    moved = [
        ledger.requeue(seen, queue="events-bulk", job_id=f"retry-{n}", now=NOW) for n in (1, 2)
    ]

    assert moved == [[key], []]
    assert job_of(redis) == "retry-1"


def test_a_dead_event_is_kept_with_its_reason(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """A dead letter keeps reason and body without a time to live."""
    [key] = accept(redis_url, 1)
    claim = claimed(ledger, redis, key)

    settle(ledger, Settlement(key, claim.fence, Verdict.DEAD, "handler_error"))

    held = record(redis, key)
    assert (held["state"], held["reason"]) == ("dead", "handler_error")
    assert redis.ttl(KEYS.event(key)) == redis.ttl(KEYS.body(key)) == -1
    assert redis.zrange(KEYS.dead("ingestion.failed"), 0, -1) == [key.encode()]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_law_holds_after_every_verdict(
    redis: Redis, redis_url: str, ledger: Ledger, verdict: Verdict
) -> None:
    """Accepted + released = done + dead + discarded + in flight, whatever happened."""
    keys = accept(redis_url, 5)
    claim = claimed(ledger, redis, keys[0])
    ledger.settle([], now=NOW, job_id="job", lease=LEASE, starts=[claim]).written()

    settle(ledger, Settlement(claim.key, claim.fence, verdict, "why", NOW))

    assert set(Books(redis, KEYS).snapshot(NOW).unaccounted.values()) == {0}


def test_a_record_removed_by_hand_is_unaccounted(redis: Redis, redis_url: str) -> None:
    """The audit finds an indexed event whose record is gone; the law finds a lost index entry."""
    keys = accept(redis_url, 3)
    books = Books(redis, KEYS)

    redis.delete(KEYS.event(keys[0]))
    books.audit(NOW)
    after_record = books.snapshot(NOW).unaccounted["ingestion.failed"]
    redis.zrem(KEYS.inflight("ingestion.failed"), keys[1])
    after_index = books.snapshot(NOW).unaccounted["ingestion.failed"]

    assert (after_record, after_index) == (1, 2)


def test_effects_without_an_event_are_written(redis: Redis, ledger: Ledger) -> None:
    """The tick's own alerts use the same effects."""
    ledger.apply([Effect("mark", ("tick",)), Effect("mark", ("tock",))])

    assert redis.lrange("marks", 0, -1) == [b"tick", b"tock"]
