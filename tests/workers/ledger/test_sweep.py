"""The sweep finds what is lost, and only that."""

from __future__ import annotations

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from receiver.broker import enqueue, new_record
from receiver.event import DEFAULT_ENDPOINT, moment, safe_key
from tests.accept import KEYS, accept
from tests.build import LABEL, NOW
from tests.workers.ledger.test_transitions import claimed, job_of, settle
from workers.ledger.sweep import Sweep
from workers.ledger.transitions import Ledger, Settlement, Verdict, process_job

GRACE = 30.0


def sweep_of(redis: Redis, ledger: Ledger) -> Sweep:
    """Return a sweeper with the default grace."""
    return Sweep(redis, KEYS, ledger, grace=GRACE)


def test_a_queued_job_is_never_multiplied(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """However long a backlog waits in its queue, the sweep adds nothing."""
    for batch in range(4):
        accept(redis_url, 50, event_type=f"type.{batch}", now=NOW)
    sweep = sweep_of(redis, ledger)

    requeued = [sweep.run(NOW + seconds) for seconds in range(0, 3600, 60)]

    assert set(requeued) == {0}
    assert Queue("events", connection=redis).count == 4


def test_events_of_a_lost_job_come_back_alone(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """A job that vanished between pop and start is replaced by one job per event."""
    keys = accept(redis_url, 3, now=NOW)
    redis.lpop("rq:queue:events-bulk")
    sweep = sweep_of(redis, ledger)

    requeued = [sweep.run(NOW + seconds) for seconds in (0, 10, 20, 30, 40)]

    jobs = Queue("events-bulk", connection=redis, serializer=JSONSerializer).jobs
    assert requeued == [0, 0, 0, 3, 0]
    assert sorted(job.args[0][0] for job in jobs) == sorted(keys)
    assert [len(job.args[0]) for job in jobs] == [1, 1, 1]


def test_a_live_lease_is_left_alone(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """An event that a worker holds is not lost until its lease is over and the grace passed."""
    [key] = accept(redis_url, 1, now=NOW)
    job = job_of(redis)
    redis.lpop("rq:queue:events-bulk")
    sweep = sweep_of(redis, ledger)
    sweep.run(NOW)
    ledger.claim(job, [key], now=NOW + 5, lease=30)

    requeued = [sweep.run(NOW + seconds) for seconds in (10, 20, 30, 40)]

    assert requeued == [0, 0, 0, 1]


def test_a_neighbour_of_a_running_job_is_left_alone(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """Events that a running job has not claimed yet wait for it while its lease lives."""
    keys = accept(redis_url, 2, now=NOW)
    job = job_of(redis)
    redis.lpop("rq:queue:events-bulk")
    sweep = sweep_of(redis, ledger)
    sweep.run(NOW)
    for seconds in (20, 40, 60):
        ledger.claim(job, keys[:1], now=NOW + seconds, lease=30)
        assert sweep.run(NOW + seconds + 5) == 0


def test_a_waiting_retry_is_left_alone(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """An event that waits for its next attempt is not lost."""
    [key] = accept(redis_url, 1, now=NOW)
    redis.lpop("rq:queue:events-bulk")
    claim = claimed(ledger, redis, key)
    settle(ledger, Settlement(key, claim.fence, Verdict.RETRY, "handler_error", NOW + 600))
    sweep = sweep_of(redis, ledger)

    assert [sweep.run(NOW + seconds) for seconds in (0, 300, 600)] == [0, 0, 0]


def test_a_retry_that_lost_its_timer_comes_back(
    redis: Redis, redis_url: str, ledger: Ledger
) -> None:
    """An event whose timer entry is gone is found once its time is past."""
    [key] = accept(redis_url, 1, now=NOW)
    redis.lpop("rq:queue:events-bulk")
    claim = claimed(ledger, redis, key)
    settle(ledger, Settlement(key, claim.fence, Verdict.RETRY, "handler_error", NOW + 60))
    redis.delete(KEYS.retry)
    sweep = sweep_of(redis, ledger)

    assert [sweep.run(NOW + seconds) for seconds in (0, 60, 89, 90)] == [0, 0, 0, 1]


def test_a_new_sweeper_waits_before_it_judges(redis: Redis, redis_url: str, ledger: Ledger) -> None:
    """A sweeper that just began does not take a job popped a moment ago for lost."""
    accept(redis_url, 1, now=NOW)
    redis.lpop("rq:queue:events-bulk")
    sweep = sweep_of(redis, ledger)

    assert [sweep.run(NOW + 7_200), sweep.run(NOW + 7_229), sweep.run(NOW + 7_230)] == [0, 0, 1]


def backlog(redis: Redis, events: int, *, batch: int = 200) -> int:
    """Leave a backlog as the receiver leaves it, but for the bodies; return how many jobs it is."""
    kind, queue = "ingestion.failed", "events-bulk"
    for at in range(0, events, batch):
        job_id = f"batch-{at}"
        keys = [safe_key(DEFAULT_ENDPOINT, f"evt_{at + n}") for n in range(batch)]
        record = new_record("digest", kind, moment(NOW), LABEL, job_id)
        redis.mset({KEYS.event(key): record for key in keys})
        redis.zadd(KEYS.inflight(kind), dict.fromkeys(keys, NOW))
        enqueue(redis, [process_job(keys, queue=queue, job_id=job_id)])
    return events // batch


def test_a_backlog_of_100_000_is_not_multiplied(redis: Redis, ledger: Ledger) -> None:
    """A sweep over a hundred thousand waiting events pushes nothing."""
    jobs = backlog(redis, 100_000)
    sweep = sweep_of(redis, ledger)

    requeued = [sweep.run(NOW), sweep.run(NOW + 3_600)]

    assert requeued == [0, 0]
    assert Queue("events-bulk", connection=redis).count == jobs
