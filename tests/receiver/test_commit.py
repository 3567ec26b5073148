"""One commit: what it writes, what it answers, and that it writes all or nothing."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from rq import Queue

from receiver.batch import QUARANTINE_BODIES, Outcome, quarantine_key
from receiver.broker import accept_script
from receiver.commit import Committer
from receiver.errors import Flaw, UnavailableError
from receiver.event import KINDS, body_digest, from_wire, safe_key
from tests.accept import KEYS, accept, commit, entered, record, submission
from tests.build import LABEL, NOW, make_event


def test_a_new_event_leaves_record_body_index_counter_and_job(redis: Redis, redis_url: str) -> None:
    """A new event's record, body, index entry, counter and job appear together."""
    item = submission(make_event(), now=NOW)

    outcomes = commit(redis_url, [item], now=NOW)

    assert item.event
    key = item.event.key
    [job_id] = Queue("events-bulk", connection=redis).job_ids
    assert outcomes == [Outcome.ACCEPTED]
    assert record(redis, key) == {
        "state": "inflight",
        "digest": body_digest(item.raw),
        "kind": "ingestion.failed",
        "received_at": NOW,
        "label": LABEL,
        "job": job_id,
        "queued_at": NOW,
    }
    assert from_wire(redis.get(KEYS.body(key))) == item.event
    assert redis.zrange(KEYS.inflight("ingestion.failed"), 0, -1) == [key.encode()]
    assert redis.hgetall(KEYS.counters) == {b"commits": b"1", b"accepted:ingestion.failed": b"1"}
    assert redis.hgetall(KEYS.used) == {f"default/{LABEL}".encode(): b"1800000000.000"}


def test_the_same_body_again_is_a_duplicate(redis: Redis, redis_url: str) -> None:
    """The same identity with the same body is a duplicate, in one batch and across batches."""
    item = submission(make_event())

    outcomes = [*commit(redis_url, [item, item]), *commit(redis_url, [item])]

    assert outcomes == [Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.DUPLICATE]
    assert redis.hget(KEYS.counters, "accepted:ingestion.failed") == b"1"
    assert redis.hget(KEYS.counters, "duplicates") == b"2"


def test_another_body_under_a_known_id_is_a_conflict(redis: Redis, redis_url: str) -> None:
    """The same identity with another body is a conflict, and the first body stays."""
    first = submission(make_event(), now=NOW)
    other = submission(make_event(correlation_id="else"), now=NOW)

    outcomes = commit(redis_url, [first, other])

    assert outcomes == [Outcome.ACCEPTED, Outcome.CONFLICT]
    assert first.event
    assert from_wire(redis.get(KEYS.body(first.event.key))) == first.event


def test_a_batch_of_duplicates_pushes_no_job(redis: Redis, redis_url: str) -> None:
    """A job is pushed only if at least one of its events was new."""
    accept(redis_url, 3)

    outcomes = commit(redis_url, [submission(make_event(event_id="evt_ingestion.failed_1"))])

    assert outcomes in ([Outcome.CONFLICT], [Outcome.DUPLICATE])
    assert Queue("events-bulk", connection=redis).count == 1


def test_rare_types_have_a_queue_of_their_own(redis: Redis, redis_url: str) -> None:
    """A storm of failures never stands before a credential."""
    kinds = {kind: f"evt_{kind}" for kind in KINDS}
    batch = [submission(make_event(kind, event_id=ident)) for kind, ident in kinds.items()]

    commit(redis_url, batch)

    queues = {
        name: Queue(name, connection=redis, serializer="json").jobs[0].args[0]
        for name in ("events", "events-bulk")
    }
    assert queues == {
        "events": [
            safe_key("default", kinds[kind])
            for kind in ("credential.expiring", "config.applied", "unknown")
        ],
        "events-bulk": [
            safe_key("default", kinds[kind]) for kind in ("ingestion.failed", "retention.cleanup")
        ],
    }


@pytest.mark.parametrize(
    "key", [KEYS.counters, KEYS.inflight("ingestion.failed"), "rq:queue:events-bulk", "rq:queues"]
)
def test_a_key_of_the_wrong_type_stops_the_script_before_it_writes(
    redis: Redis, redis_url: str, key: str
) -> None:
    """A key of the wrong type is found before the first write, so nothing is half done."""
    redis.set(key, "somebody else's")

    with pytest.raises(UnavailableError) as refused:
        commit(redis_url, [submission(make_event())])

    assert refused.value.reason == "redis_refused"
    assert redis.keys() == [key.encode()]


def test_a_forgotten_script_is_loaded_again(redis: Redis, redis_url: str) -> None:
    """After SCRIPT FLUSH the next commit loads the script and succeeds."""
    redis.script_flush()

    assert commit(redis_url, [submission(make_event())]) == [Outcome.ACCEPTED]

    sha = hashlib.sha1(accept_script().encode()).hexdigest()
    assert redis.script_exists(sha) == [True]


def test_rubbish_is_kept_once_per_body(redis: Redis, redis_url: str) -> None:
    """A body in quarantine is kept once however often it comes, and counted once."""
    item = submission(b"no json", flaw=Flaw.NOT_JSON, now=NOW)

    outcomes = [*commit(redis_url, [item, item]), *commit(redis_url, [item])]

    key = quarantine_key("default", b"no json")
    assert outcomes == [Outcome.QUARANTINED] * 3
    assert redis.hgetall(KEYS.quarantined(key)) == {
        b"endpoint": b"default",
        b"reason": b"not_json",
        b"digest": hashlib.sha256(b"no json").digest(),
        b"size": b"7",
        b"at": b"1800000000.000",
        b"label": LABEL.encode(),
        b"whole": b"1",
        b"body": b"no json",
    }
    assert redis.hget(KEYS.counters, "quarantined:not_json") == b"1"
    assert redis.hgetall(KEYS.held) == {b"bodies:default": b"1", b"bytes:default": b"7"}


def test_a_flood_of_rubbish_is_bounded(redis: Redis, redis_url: str) -> None:
    """Beyond 1 000 whole bodies only the first KiB of each is kept."""
    flood = [
        submission(b"x" * 2000 + b"%d" % n, flaw=Flaw.NOT_JSON)
        for n in range(QUARANTINE_BODIES + 200)
    ]

    for at in range(0, len(flood), 200):
        commit(redis_url, flood[at : at + 200])

    kept = [redis.hmget(key, "whole", "size") for key in redis.keys("synap:quarantined:*")]
    excerpts = [
        len(redis.hget(KEYS.quarantined(quarantine_key("default", item.raw)), "body"))
        for item in flood[-5:]
    ]
    assert len(kept) == len(flood)
    assert sum(whole == b"1" for whole, _ in kept) == QUARANTINE_BODIES
    assert excerpts == [1024] * 5


def test_a_replica_is_refused(redis_url: str) -> None:
    """A server that cannot be written to is a shortage, not a crash."""

    async def run() -> None:
        redis = AsyncRedis.from_url(redis_url)
        try:
            await redis.execute_command("REPLICAOF", "127.0.0.1", 1)
            await Committer(redis).commit(entered([submission(make_event())]), now=NOW)
        finally:
            await redis.execute_command("REPLICAOF", "NO", "ONE")
            await redis.aclose()

    with pytest.raises(UnavailableError) as refused:
        asyncio.run(run())

    assert refused.value.reason == "redis_refused"
