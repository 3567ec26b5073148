"""`rediss://` and ACL users, against a real server that speaks TLS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from receiver.batch import Outcome
from receiver.broker import connect
from receiver.settings import CommonSettings, load
from tests.accept import KEYS, submission, submit
from tests.build import make_event
from tests.certificate import write_certificate
from tests.processes import free_port
from tests.receiver.test_intake import running, settings_for
from tests.sentinels import MASTER, Sentinel
from tests.servers import start_redis

USER, PASSWORD = "hooks", "p@ss/word"
QUOTED = "hooks:p%40ss%2Fword"


class Guarded(NamedTuple):
    """A server that answers over TLS alone, to one user, and a Sentinel that watches it.

    `place` and `watched` are what a URL says of either, `options` names their authority.
    """

    place: str
    watched: str
    options: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Yield such a server."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs a redis-server with TLS on PATH (Debian: apt install redis-server)")
    folder = tmp_path_factory.mktemp("tls")
    authority, key, port = folder / "ca.crt", folder / "ca.key", free_port()
    write_certificate(authority, key)
    tls = {
        "tls-cert-file": str(authority),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority),
        "tls-auth-clients": "no",
    }
    flags = [word for name, value in tls.items() for word in (f"--{name}", value)]
    server = start_redis(binary=binary, config=["--tls-port", str(port), *flags])
    with server.client() as client:
        client.acl_setuser(
            USER, enabled=True, passwords=[f"+{PASSWORD}"], commands=["+@all", "-flushall"],
            keys=["synap:*", "rq:*"],
        )  # fmt: skip
        client.acl_setuser("default", enabled=True, nopass=True, commands=["-@all", "+ping"])
    asked = free_port()
    watching = Sentinel(
        port,
        binary=binary,
        config=[
            *(f"{name} {value}" for name, value in tls.items()),
            f"tls-port {asked}",
            "tls-replication yes",
            f"sentinel auth-user {MASTER} {USER}",
            f"sentinel auth-pass {MASTER} {PASSWORD}",
        ],
    )
    yield Guarded(f"127.0.0.1:{port}", f"127.0.0.1:{asked}/{MASTER}", f"ssl_ca_certs={authority}")
    watching.close()
    server.close()


def common(url: str) -> CommonSettings:
    """Return settings for a URL."""
    return load(CommonSettings, {"SYNAP_REDIS_URL": url})


async def test_both_clients_speak_tls_as_their_user(guarded: Guarded) -> None:
    """Receiver and workers reach a server over TLS, its certificate checked, as an ACL user."""
    await works(f"rediss://{QUOTED}@{guarded.place}/0?{guarded.options}")


async def test_sentinels_speak_tls_too(guarded: Guarded) -> None:
    """`rediss+sentinel://` is TLS to the Sentinels and to whom they name."""
    await works(f"rediss+sentinel://{QUOTED}@{guarded.watched}/0?{guarded.options}")


async def works(url: str) -> None:
    """Assert that an event is accepted through the one client, and seen through the other."""
    item = submission(make_event(event_id=url.partition(":")[0]))
    assert item.event
    async with running(settings_for(url, SYNAP_ACK="memory")) as intake:
        assert await submit(intake, item) is Outcome.ACCEPTED
    with connect(common(url)) as client:
        assert client.exists(KEYS.event(item.event.key)) == 1
        with pytest.raises(NoPermissionError):
            client.flushall()


@pytest.mark.parametrize(
    ("scheme", "credentials", "options", "error"),
    [
        pytest.param("rediss", QUOTED, "", RedisConnectionError, id="unknown authority"),
        pytest.param("redis", QUOTED, "", RedisConnectionError, id="no TLS"),
        pytest.param("rediss", "hooks:wrong", "own", AuthenticationError, id="wrong password"),
    ],
)
def test_what_does_not_fit_is_refused(
    guarded: Guarded, scheme: str, credentials: str, options: str, error: type[Exception]
) -> None:
    """A certificate that nobody vouches for, no TLS, or another password: no connection."""
    query = f"?{guarded.options}" if options else ""
    url = f"{scheme}://{credentials}@{guarded.place}/0{query}"

    with connect(common(url)) as client, pytest.raises(error):
        client.ping()
