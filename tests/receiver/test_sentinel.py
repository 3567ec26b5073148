"""`redis+sentinel://`: what a URL says, and clients that follow the primary wherever it goes."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from receiver.broker import connect, server_name
from receiver.errors import SettingsError, UnavailableError
from receiver.intake import Intake
from receiver.sentinel import parse
from receiver.settings import CommonSettings, load, masked
from tests.accept import KEYS, submission, submit
from tests.build import make_event
from tests.processes import free_port
from tests.receiver.test_intake import running, settings_for
from tests.sentinels import MASTER, Quorum, Sentinel
from tests.servers import RedisServer, start_redis

CANARY = "canary-canary"


def common(url: str) -> CommonSettings:
    """Return settings for a URL."""
    return load(CommonSettings, {"SYNAP_REDIS_URL": url})


def test_a_url_says_whom_to_ask_for_what() -> None:
    """Hosts, the name of what they watch, the database, and credentials for each side."""
    found = parse(
        "rediss+sentinel://hooks:p%40ss@one:1,two,[::1]:3/eu%2Fmain/2"
        "?sentinel_username=asks&sentinel_password=s%26cret&ssl_ca_certs=/ca.crt&socket_timeout=9"
    )

    tls = {"ssl": True, "ssl_ca_certs": "/ca.crt"}
    node = {"username": "hooks", "password": "p@ss", "db": 2, "socket_timeout": 9.0}
    assert found.hosts == (("one", 1), ("two", 26379), ("::1", 3))
    assert found.master == "eu/main"
    assert found.node == node | tls
    assert found.asking == {"username": "asks", "password": "s&cret"} | tls


def test_a_short_url_is_enough() -> None:
    """One Sentinel and a name will do: the usual port, the first database, no credentials."""
    found = parse("redis+sentinel://sentinel/hooks")

    assert (found.hosts, found.master) == ((("sentinel", 26379),), "hooks")
    assert (found.node, found.asking) == ({"db": 0}, {})


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        pytest.param("one:1", "must name what the Sentinels watch", id="no name"),
        pytest.param("one:1/", "must name what the Sentinels watch", id="empty name"),
        pytest.param("one:1/hooks/first", "must name what the Sentinels watch", id="database"),
        pytest.param("/hooks", "must list the Sentinels", id="no host"),
        pytest.param("one:1,/hooks", "must list the Sentinels", id="empty host"),
        pytest.param("one:first/hooks", "must list the Sentinels", id="port"),
        pytest.param("u:p@/hooks", "must list the Sentinels", id="credentials alone"),
    ],
)
def test_half_a_url_is_refused(rest: str, expected: str) -> None:
    """What is missing is named with the whole form, and nothing that was written is shown."""
    with pytest.raises(SettingsError) as refused:
        common(f"redis+sentinel://{CANARY}:{CANARY}@{rest.rpartition('@')[2]}")

    [problem] = refused.value.problems
    assert problem.startswith(f"SYNAP_REDIS_URL: {expected}")
    assert problem.endswith(
        "redis+sentinel://[user:password@]host:port[,host:port...]/<master name>[/db]"
    )
    assert CANARY not in problem


def test_no_password_is_shown() -> None:
    """Neither the printed settings nor the server's name in messages hold one."""
    settings = common(f"redis+sentinel://u:{CANARY}@one:1,two:2/hooks/3?sentinel_password={CANARY}")

    assert masked(settings)["SYNAP_REDIS_URL"] == "redis+sentinel://***@one:1,two:2/hooks/3?***"
    assert server_name(settings) == "redis+sentinel://one:1,two:2/hooks"
    assert CANARY not in repr(parse(settings.redis_url.get_secret_value()))


async def test_clients_follow_a_primary_that_became_a_replica() -> None:
    """A primary that was replaced and lives on acknowledges nothing; both clients find the new one.

    For a while it takes writes as before: no replica has them, so none of them is answered 2xx.
    """
    quorum = await asyncio.to_thread(Quorum)
    settings = settings_for(quorum.url, SYNAP_ACK="replica", SYNAP_COMMIT_TIMEOUT="1s")
    try:
        with connect(settings) as blocking:
            async with running(settings) as intake:
                before = await taken(intake, seconds=10, enough=1)
                quorum.sentinels[0].command("FAILOVER", MASTER)
                promoted = await asyncio.to_thread(quorum.promoted)
                meanwhile = await taken(intake, seconds=2)
                with quorum.primary.client() as client:
                    client.replicaof("127.0.0.1", promoted.port)
                after = await taken(intake, seconds=15, enough=1)
                await asyncio.to_thread(is_left_by, blocking, quorum.primary)
        with promoted.client() as client:
            kept = [client.exists(KEYS.event(key)) for key in (*before, *meanwhile, *after)]
            assert client.get("left") == b"1"
    finally:
        await asyncio.to_thread(quorum.close)
    assert (len(before), len(after)) == (1, 1)
    assert kept == [1] * len(kept)


async def taken(intake: Intake, *, seconds: float, enough: float = math.inf) -> list[str]:
    """Submit new events for so long, or until enough are accepted; return the keys of those."""
    accepted: list[str] = []
    deadline = time.monotonic() + seconds
    while len(accepted) < enough and time.monotonic() < deadline:
        item = submission(make_event(event_id=f"evt_{time.monotonic_ns()}"))
        with contextlib.suppress(UnavailableError):
            await submit(intake, item)
            assert item.event
            accepted.append(item.event.key)
        await asyncio.sleep(0.02)
    return accepted


def is_left_by(client: Redis, replica: RedisServer) -> None:
    """Assert that a connection which leads to a replica, and was never cut, is not kept."""
    client.ping()
    [connection] = client.connection_pool._available_connections
    connection.disconnect()
    connection.connect_to(("127.0.0.1", replica.port))
    with pytest.raises(RedisConnectionError, match="now a slave"):
        client.set("left", "0")
    client.set("left", "1")


@pytest.fixture
def watched() -> Iterator[RedisServer]:
    """Yield a server that a test's own Sentinels watch."""
    server = start_redis(tcp=True)
    yield server
    server.close()


def url_of(*ports: int, master: str = MASTER) -> str:
    """Return a URL for Sentinels on these ports."""
    return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/{master}"


def test_sentinels_that_are_gone_hold_nobody_up(watched: RedisServer) -> None:
    """One hangs, one is gone: the third answers; when all of them hang, the call ends in time."""
    hangs, answers = Sentinel(watched.port), Sentinel(watched.port)
    hangs.pause()
    url = url_of(hangs.port, free_port(), answers.port)
    began = time.monotonic()
    with connect(common(url)) as client:
        found = client.ping()
    found_after = time.monotonic() - began
    answers.pause()
    with connect(common(url)) as client, pytest.raises(RedisConnectionError):
        client.ping()
    failed_after = time.monotonic() - began - found_after
    hangs.close()
    answers.close()

    assert (found, found_after < 5, failed_after < 8) == (True, True, True)


async def test_a_primary_that_was_replaced_in_silence_is_left(watched: RedisServer) -> None:
    """Even if the old primary lives on and cuts nobody, the next look leads to the new one."""
    other = start_redis(tcp=True)
    one = Sentinel(watched.port)
    try:
        async with running(settings_for(url_of(one.port))) as intake:
            [first] = await taken(intake, seconds=10, enough=1)
            one.command("REMOVE", MASTER)
            one.command("MONITOR", MASTER, "127.0.0.1", str(other.port), "1")
            await intake._look()
            [second] = await taken(intake, seconds=10, enough=1)
        with watched.client() as old, other.client() as new:
            places = [
                [client.exists(KEYS.event(key)) for key in (first, second)] for client in (old, new)
            ]
    finally:
        one.close()
        other.close()
    assert places == [[1, 0], [0, 1]]


def test_a_reply_that_nobody_waited_for_is_not_read_later(watched: RedisServer) -> None:
    """A wait that a signal ends, as a worker's does when it shall stop, leaves nothing behind."""
    one = Sentinel(watched.port)
    earlier = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    with connect(common(url_of(one.port))) as client:
        client.ping()
        timer.start()
        with pytest.raises(ToldError):
            client.blpop("nothing", timeout=1)
        answers = [client.rpush("list", "1"), client.llen("list"), client.lpop("list")]
    signal.signal(signal.SIGUSR1, earlier)
    one.close()

    assert answers == [1, 1, b"1"]


class ToldError(Exception):
    """Somebody said to stop."""


def interrupt(*_: object) -> None:
    """Raise where a signal finds the process."""
    raise ToldError


def test_an_unknown_name_is_said(watched: RedisServer) -> None:
    """A name that the Sentinels do not watch is an error that names it."""
    one = Sentinel(watched.port)
    url = url_of(one.port, master="others")
    with connect(common(url)) as client, pytest.raises(RedisConnectionError, match="'others'"):
        client.ping()
    one.close()


def test_each_side_has_its_own_credentials(watched: RedisServer) -> None:
    """An ACL user of the data nodes and a password of the Sentinels, both from the URL."""
    with watched.client() as client:
        client.acl_setuser(
            "hooks", enabled=True, passwords=["+p@ss"], commands=["+@all"], keys=["*"]
        )
    one = Sentinel(watched.port, config=["requirepass s/cret"])
    bare = url_of(one.port).replace("://", "://hooks:p%40ss@")

    with connect(common(f"{bare}?sentinel_password=s%2Fcret")) as client:
        assert client.acl_whoami() in {"hooks", b"hooks"}
    with connect(common(bare)) as client, pytest.raises(RedisConnectionError):
        client.ping()
    one.close()
