"""`SYNAP_ACK=replica`: a 2xx stands for two memories, or there is none."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator

import pytest

from receiver.batch import Outcome
from receiver.errors import UnavailableError
from receiver.watch import Level
from tests.accept import KEYS, submission, submit
from tests.build import make_event
from tests.receiver.test_intake import running, settings_for, until_accepted
from tests.sentinels import PROMPT, start_replica
from tests.servers import RedisServer, start_redis, wait_for

Start = Callable[..., tuple[RedisServer, RedisServer]]


@pytest.fixture
def pair() -> Iterator[Start]:
    """Yield a function that starts a primary and its replica."""
    running: list[RedisServer] = []

    def start(binary: str | None = None, **options: str) -> tuple[RedisServer, RedisServer]:
        running.append(start_redis(binary=binary, tcp=True, config=PROMPT, **options))
        running.append(start_replica(running[0], binary=binary))
        return running[0], running[1]

    yield start
    for server in reversed(running):
        server.close()


def older() -> str:
    """Return the path of a server without WAITAOF."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs a redis-server 7.0 on PATH (Debian: apt install redis-server)")
    return binary


def calls(server: RedisServer, command: str) -> int:
    """Return how often a command was called."""
    with server.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_each_commit_waits_for_a_replica_and_for_the_disk(pair: Start) -> None:
    """An acknowledged event is in the replica; each commit proved both, in one write."""
    primary, replica = pair()
    async with running(settings_for(primary.url, SYNAP_ACK="replica")) as intake:
        await submit(intake, submission(make_event(event_id="evt_0")))  # loads the script
        before = calls(primary, "wait"), calls(primary, "waitaof")
        outcome = await submit(intake, item := submission(make_event()))
        after = calls(primary, "wait"), calls(primary, "waitaof")
        level, problem = intake.level, intake.ready()

    assert item.event
    with replica.client() as client:
        assert client.exists(KEYS.event(item.event.key), KEYS.body(item.event.key)) == 2
    assert (outcome, level, problem) == (Outcome.ACCEPTED, Level.REPLICA, None)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


@pytest.mark.parametrize("appendfsync", ["always", "everysec"])
async def test_without_waitaof_the_replica_alone_is_waited_for(
    pair: Start, appendfsync: str
) -> None:
    """Redis 7.0 proves the replica's memory; the disk as far as `appendfsync` does it by itself."""
    primary, _ = pair(older(), appendfsync=appendfsync)
    async with running(settings_for(primary.url, SYNAP_ACK="replica")) as intake:
        findings = intake.findings
        outcome = await submit(intake, submission(make_event()))

    assert findings
    assert (findings.level, findings.waits) == (Level.REPLICA, (("WAIT", 1),))
    assert outcome is Outcome.ACCEPTED


async def test_a_silent_replica_is_no_promise(pair: Start) -> None:
    """A replica that does not confirm in time means 503; when it does again, events are taken."""
    primary, replica = pair()
    settings = settings_for(primary.url, SYNAP_ACK="replica", SYNAP_COMMIT_TIMEOUT="0.5")
    async with running(settings) as intake:
        replica.pause()
        with pytest.raises(UnavailableError) as refused:
            await submit(intake, submission(make_event()))
        replica.resume()
        recovered = await until_accepted(intake)

    assert refused.value.reason in {"not_durable", "commit_timeout"}
    assert recovered is Outcome.ACCEPTED


async def test_without_a_replica_nothing_is_acknowledged(pair: Start) -> None:
    """The last replica's end is found out, named with its remedy, and so is its return."""
    primary, replica = pair()
    settings = settings_for(primary.url, SYNAP_ACK="replica", SYNAP_COMMIT_TIMEOUT="1s")
    async with running(settings) as intake:
        replica.kill()
        with pytest.raises(UnavailableError):
            await submit(intake, submission(make_event()))
        await asyncio.to_thread(
            wait_for, lambda: "attach one" in (intake.ready() or ""), what="the look"
        )
        problem = intake.ready() or ""
        with pytest.raises(UnavailableError) as refused:
            submit(intake, submission(make_event()))
        await asyncio.to_thread(replica.start)
        recovered = await until_accepted(intake)

    assert "attach one (`replicaof`), or set SYNAP_ACK=fsync" in problem
    assert refused.value.reason == "not_durable"
    assert recovered is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("command", "names"),
    [
        pytest.param(("CONFIG", "SET", "appendonly", "no"), "set `appendonly yes`", id="no file"),
        pytest.param(("ACL", "SETUSER", "default", "-wait"), "ACL `+wait`", id="no WAIT"),
    ],
)
async def test_what_cannot_be_proven_is_refused(
    pair: Start, command: tuple[str, ...], names: str
) -> None:
    """A primary that would come back empty, or that does not tell, is named with its remedy."""
    primary, _ = pair()
    with primary.client() as client:
        client.execute_command(*command)

    async with running(settings_for(primary.url, SYNAP_ACK="replica")) as intake:
        level, problem = intake.level, intake.ready() or ""

    assert level is Level.UNPROVEN
    assert names in problem


@pytest.mark.parametrize("ack", ["memory", "fsync", "replica"])
async def test_a_replica_itself_is_named(pair: Start, ack: str) -> None:
    """A URL that leads to a replica is a problem with its remedy, not a series of failures."""
    _, replica = pair()

    async with running(settings_for(replica.url, SYNAP_ACK=ack)) as intake:
        level, problem = intake.level, intake.ready() or ""

    assert level is Level.UNPROVEN
    assert "point SYNAP_REDIS_URL at the primary" in problem


@pytest.mark.parametrize(
    ("ack", "lost"),
    [pytest.param("replica", 0, id="replica"), pytest.param("fsync", 2, id="fsync")],
)
async def test_what_a_replica_never_got_was_never_acknowledged(
    pair: Start, ack: str, lost: int
) -> None:
    """With the link cut before the primary dies, only the primary's disk has what came after.

    `fsync` acknowledged that, and says so; `replica` did not, so its promotion loses nothing.
    """
    primary, replica = pair()
    settings = settings_for(primary.url, SYNAP_ACK=ack, SYNAP_COMMIT_TIMEOUT="1s")
    async with running(settings) as intake:
        await submit(intake, submission(make_event(event_id="evt_0")))
        cut(primary, replica)
        accepted = []
        for number in range(1, 3):
            item = submission(make_event(event_id=f"evt_{number}"))
            with contextlib.suppress(UnavailableError):
                await submit(intake, item)
                assert item.event
                accepted.append(item.event.key)
    primary.kill()

    with replica.client() as client:
        client.replicaof("NO", "ONE")
        missing = [key for key in accepted if not client.exists(KEYS.event(key))]
    assert len(missing) == lost


def cut(primary: RedisServer, replica: RedisServer) -> None:
    """Cut a replica off without its knowing: it cannot sign in again."""
    with primary.client() as one, replica.client() as other:
        other.config_set("masterauth", "wrong")
        one.client_kill_filter(_type="replica")
