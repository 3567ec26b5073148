"""Group commit: who is answered what and when, with Redis well, slow, gone and back."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from receiver.batch import LEAST_SHARE, MAX_EVENTS, Outcome, Submission
from receiver.broker import connect_async
from receiver.errors import SettingsError, UnavailableError
from receiver.intake import LOOK_INTERVAL, MAX_WAITING, RESPITE, CommitReport, Intake
from receiver.settings import ReceiverSettings, load
from receiver.watch import Level, look
from tests.accept import KEYS, submission, submit
from tests.build import SECRET, iso, make_event
from tests.servers import RedisServer, start_redis, wait_for


def settings_for(url: str, **more: str) -> ReceiverSettings:
    """Return receiver settings for a Redis; keywords are further variables."""
    environ = {"SYNAP_REDIS_URL": url, "SYNAP_WEBHOOK_SECRET": SECRET, **more}
    return load(ReceiverSettings, environ)


@asynccontextmanager
async def running(
    settings: ReceiverSettings, on_commit: Callable[[CommitReport], None] = lambda _: None
) -> AsyncIterator[Intake]:
    """Yield a started intake; stop it in the end."""
    redis = connect_async(settings)
    intake = Intake(redis, settings, on_commit=on_commit)
    try:
        await intake.start()
        yield intake
        await intake.stop()
    finally:
        await redis.aclose()


def some(count: int, **overrides: object) -> list[Submission]:
    """Return that many submissions with ids of their own."""
    return [submission(make_event(event_id=f"evt_{n}", **overrides)) for n in range(count)]


async def test_what_waits_goes_into_one_commit(redis_url: str) -> None:
    """Submissions that arrive during a commit share the next one."""
    reports: list[CommitReport] = []

    async with running(settings_for(redis_url), reports.append) as intake:
        first, *others = some(LEAST_SHARE)
        answers = [submit(intake, first)]
        await asyncio.sleep(0)
        answers += [submit(intake, item) for item in others]
        outcomes = await asyncio.gather(*answers)

    assert set(outcomes) == {Outcome.ACCEPTED}
    assert [report.events for report in reports] == [1, LEAST_SHARE - 1]


async def test_a_burst_takes_few_commits(redis_url: str) -> None:
    """After a calm only the first commit is small; the others hold 256 submissions each."""
    reports: list[CommitReport] = []

    async with running(settings_for(redis_url), reports.append) as intake:
        await asyncio.gather(*(submit(intake, item) for item in some(1200)))

    sizes = [report.events for report in reports]
    assert sizes == [LEAST_SHARE, *[MAX_EVENTS] * 4, 1200 - LEAST_SHARE - 4 * MAX_EVENTS]


async def test_senders_fall_into_equal_halves(redis_url: str) -> None:
    """Senders that go on when they are answered share two commits in turn, half of them in each."""
    reports: list[CommitReport] = []
    numbers = itertools.count()
    enough = asyncio.Event()

    def note(report: CommitReport) -> None:
        reports.append(report)
        if len(reports) == 20:
            enough.set()

    async with running(settings_for(redis_url), note) as intake:

        def send(_: object = None) -> None:
            if not enough.is_set():
                item = submission(make_event(event_id=f"evt_{next(numbers)}"))
                intake.submit(item, send)

        for _ in range(42):
            send()
        await asyncio.sleep(0)
        for _ in range(22):
            send()
        await enough.wait()

    assert [report.events for report in reports[10:20]] == [32] * 10


async def test_large_bodies_make_smaller_batches(redis_url: str) -> None:
    """A batch holds at most 4 MiB of bodies."""
    reports: list[CommitReport] = []
    big = some(5, data={"note": "x" * 1_000_000})

    async with running(settings_for(redis_url), reports.append) as intake:
        await asyncio.gather(*(submit(intake, item) for item in big))

    assert [report.events for report in reports] == [4, 1]


async def test_stopping_finishes_what_was_submitted(redis: Redis, redis_url: str) -> None:
    """`stop` commits what was submitted before it, and refuses what comes after."""
    async with running(settings_for(redis_url)) as intake:
        answers = [submit(intake, item) for item in some(300)]
        await intake.stop()

        with pytest.raises(UnavailableError) as refused:
            submit(intake, submission(make_event(event_id="late")))

    assert refused.value.reason == "stopping"
    assert {answer.result() for answer in answers} == {Outcome.ACCEPTED}
    assert redis.zcard(KEYS.inflight("ingestion.failed")) == 300


async def test_a_full_intake_refuses_at_once(redis_url: str) -> None:
    """Beyond the bound of what may wait, a submission is refused without waiting."""
    item = submission(make_event())

    async with running(settings_for(redis_url)) as intake:
        for _ in range(MAX_WAITING):
            submit(intake, item)
        with pytest.raises(UnavailableError) as refused:
            submit(intake, item)

    assert refused.value.reason == "overloaded"


async def test_an_answer_that_breaks_stops_nobody() -> None:
    """What breaks while one request is answered leaves its neighbours and the next commit alone."""

    def broken(_: object) -> None:
        raise RuntimeError("unforeseen")

    server = start_redis()
    try:
        async with running(settings_for(server.url)) as intake:
            ours, after, later = some(3)
            intake.submit(ours, broken)

            assert await submit(intake, after) == Outcome.ACCEPTED
            assert await submit(intake, later) == Outcome.ACCEPTED
            assert await submit(intake, ours) == Outcome.DUPLICATE
    finally:
        server.close()


async def test_redis_gone_and_back() -> None:
    """While Redis is away nothing is acknowledged; when it is back, intake carries on."""
    server = start_redis()
    settings = settings_for(server.url, SYNAP_COMMIT_TIMEOUT="1s")
    try:
        async with running(settings) as intake:
            assert await submit(intake, submission(make_event())) == Outcome.ACCEPTED
            await asyncio.to_thread(server.kill)
            with pytest.raises(UnavailableError) as refused:
                await submit(intake, submission(make_event(event_id="evt_2")))
            await asyncio.to_thread(server.restart)
            assert await until_accepted(intake) == Outcome.ACCEPTED
            assert await submit(intake, submission(make_event())) in {
                Outcome.DUPLICATE,
                Outcome.CONFLICT,
            }
    finally:
        server.close()
    assert refused.value.reason == "redis_unreachable"


async def until_accepted(intake: Intake) -> Outcome:
    """Submit one event until it is taken, for at most thirty seconds."""
    item = submission(make_event(event_id="evt_3"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return await submit(intake, item)
        except UnavailableError:
            await asyncio.sleep(0.05)
    raise TimeoutError


async def test_readiness_follows_the_first_failed_commit() -> None:
    """A failed commit has Redis looked at long before it is due; what comes back is ready."""
    server = start_redis()
    try:
        async with running(settings_for(server.url)) as intake:
            began = time.monotonic()
            await asyncio.to_thread(server.kill)
            with pytest.raises(UnavailableError):
                await submit(intake, submission(make_event()))
            why = await asyncio.to_thread(wait_for, intake.ready, what="the look")
            took = time.monotonic() - began
            await asyncio.to_thread(server.restart)
            await asyncio.to_thread(wait_for, lambda: not intake.ready(), what="readiness")
    finally:
        server.close()
    assert (why, took < LOOK_INTERVAL / 2) == ("redis is unreachable", True)


async def test_what_a_look_finds_decides() -> None:
    """Commits that fail one after the other while Redis is well have few looks, and it is ready."""
    server = start_redis()
    failures, reasons, problems = 0, set(), set()
    try:
        async with running(settings_for(server.url)) as intake:
            with server.client() as client:
                client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
                before, end = looks(client), time.monotonic() + 4 * RESPITE
                while time.monotonic() < end:
                    with pytest.raises(UnavailableError) as refused:
                        await submit(intake, submission(make_event()))
                    reasons.add(refused.value.reason)
                    problems.add(intake.ready())
                    failures += 1
                looked = looks(client) - before
    finally:
        server.close()
    assert (reasons, problems) == ({"redis_refused"}, {None})
    assert 1 <= looked <= 6 < failures


async def test_one_slow_commit_changes_no_readiness() -> None:
    """A commit that came too late has Redis looked at; it is well, so readiness stays."""
    server = start_redis()
    try:
        async with running(settings_for(server.url, SYNAP_COMMIT_TIMEOUT="0.3")) as intake:
            first = intake.findings
            with server.client() as client:
                client.client_pause(1_000, all=False)
            with pytest.raises(UnavailableError) as refused:
                await submit(intake, submission(make_event()))
            await asyncio.to_thread(wait_for, lambda: intake.findings is not first)
            problem = intake.ready()
    finally:
        server.close()
    assert (refused.value.reason, problem) == ("commit_timeout", None)


def looks(client: Redis) -> int:
    """Return how often a Redis was looked at: each look asks for its time once."""
    calls: int = client.info("commandstats")["cmdstat_time"]["calls"]
    return calls


async def test_an_unreachable_redis_at_start_is_no_error() -> None:
    """The service starts, is not ready, answers 503, and recovers by itself."""
    server = start_redis()
    server.kill()
    try:
        async with running(settings_for(server.url)) as intake:
            why = intake.ready()
            with pytest.raises(UnavailableError):
                submit(intake, submission(make_event()))
            await asyncio.to_thread(server.restart)
            assert await until_accepted(intake) == Outcome.ACCEPTED
            assert (intake.ready(), intake.level) == (None, Level.FSYNC)
    finally:
        server.close()
    assert why == "redis is unreachable"


async def test_a_hanging_redis_is_a_commit_timeout() -> None:
    """A commit that Redis does not answer in time is a 503, and the next one may succeed."""
    server = start_redis()
    settings = settings_for(server.url, SYNAP_COMMIT_TIMEOUT="0.3")
    try:
        async with running(settings) as intake:
            server.pause()
            with pytest.raises(UnavailableError) as refused:
                await submit(intake, submission(make_event()))
            server.resume()
            assert await until_accepted(intake) == Outcome.ACCEPTED
    finally:
        server.close()
    assert refused.value.reason == "commit_timeout"


@pytest.mark.parametrize(
    ("appendonly", "ack", "level", "names"),
    [
        pytest.param("yes", "fsync", Level.FSYNC, "", id="proven"),
        pytest.param("no", "fsync", Level.UNPROVEN, "appendonly yes", id="no-append-only-file"),
        pytest.param("no", "memory", Level.MEMORY, "", id="memory-was-asked-for"),
    ],
)
async def test_durability_is_proven_or_refused(
    redis_server: RedisServer, appendonly: str, ack: str, level: Level, names: str
) -> None:
    """What cannot be proven is refused with the sentence that names the setting to change."""
    with redis_server.client() as client:
        client.config_set("appendonly", appendonly)
        try:
            async with running(settings_for(redis_server.url, SYNAP_ACK=ack)) as intake:
                assert (intake.level, names in (intake.ready() or "")) == (level, True)
                assert (intake.ready() is None) == (names == "")
        finally:
            client.config_set("appendonly", "yes")


@pytest.mark.parametrize(
    ("appendfsync", "level", "names"),
    [
        pytest.param("always", Level.FSYNC, "", id="always"),
        pytest.param("everysec", Level.UNPROVEN, "`appendfsync always`", id="everysec"),
    ],
)
async def test_a_server_without_waitaof_must_sync_always(
    appendfsync: str, level: Level, names: str
) -> None:
    """Redis 7.0 has no WAITAOF: only `appendfsync always` proves that an answer is on disk."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs a redis-server 7.0 on PATH (Debian: apt install redis-server)")
    server = start_redis(binary=binary, appendfsync=appendfsync)
    try:
        async with running(settings_for(server.url)) as intake:
            findings = intake.findings
            problem = intake.ready() or ""
            if level is Level.FSYNC:
                outcome = await submit(intake, submission(make_event()))
                assert outcome is Outcome.ACCEPTED
    finally:
        server.close()
    assert findings
    assert (findings.level, findings.waits) == (level, ())
    assert names in problem


async def test_a_server_that_evicts_is_refused(redis_server: RedisServer) -> None:
    """A full Redis that deletes keys would lose what was acknowledged: it is refused."""
    with redis_server.client() as client:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            async with running(settings_for(redis_server.url)) as intake:
                problem = intake.ready()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "0")
    assert problem
    assert "maxmemory-policy noeviction" in problem


@pytest.mark.parametrize("command", ["info", "ping"])
async def test_a_server_that_refuses_says_why(command: str) -> None:
    """A Redis that answers with an error is not called unreachable: its own words are the problem.

    PING is what the client begins with; a Redis that cannot write refuses that too.
    """
    server = start_redis()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", f"-{command}")
    try:
        async with running(settings_for(server.url)) as intake:
            level, problem = intake.level, intake.ready() or ""
            with pytest.raises(UnavailableError) as refused:
                submit(intake, submission(make_event()))
    finally:
        server.close()
    assert (level, refused.value.reason) == (Level.UNPROVEN, "not_durable")
    assert problem.startswith("Redis refuses what it is asked:")
    assert f"'{command}'" in problem


async def test_a_cluster_is_refused_at_start() -> None:
    """Cluster mode is refused at start, with the reason."""
    server = start_redis(config=["--cluster-enabled", "yes"])
    try:
        with pytest.raises(SettingsError, match="Redis Cluster"):
            async with running(settings_for(server.url)):
                pass
    finally:
        server.close()


async def test_a_late_backlog_sheds_all_but_the_last_attempts(redis: Redis, redis_url: str) -> None:
    """Above the mark new events are refused; those on the sender's last attempts are taken."""
    redis.zadd(KEYS.inflight("config.applied"), {"0" * 64: time.time() - 2 * 86_400})
    old = submission(make_event(event_id="old", timestamp=iso(time.time() - 3 * 3600)))

    async with running(settings_for(redis_url, SYNAP_SHED_AGE="1d")) as intake:
        with pytest.raises(UnavailableError) as refused:
            submit(intake, submission(make_event()))
        outcome = await submit(intake, old)

    assert (refused.value.reason, outcome) == ("shedding", Outcome.ACCEPTED)


async def test_a_look_sees_the_oldest_and_the_clock(redis: Redis, redis_url: str) -> None:
    """One look tells the oldest event's age and how far our clock is from Redis'."""
    now = time.time()
    redis.zadd(KEYS.inflight("unknown"), {"0" * 64: now - 50})
    client = AsyncRedis.from_url(redis_url)

    findings = await look(client, settings_for(redis_url), now=now + 100)
    await client.aclose()

    assert findings.oldest_age == pytest.approx(150, abs=1)
    assert findings.skew == pytest.approx(100, abs=1)
