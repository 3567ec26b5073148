"""Redis behind Sentinels: its URL, and clients that ask them for the primary.

    redis+sentinel://[user:password@]host[:port][,host[:port]...]/<master name>[/db][?option=...]

User and password are the data nodes'. The Sentinels' own, if they ask for any, are the options
`sentinel_username` and `sentinel_password`; other options are redis-py's. Under
`rediss+sentinel://` both are spoken to over TLS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

SCHEMES: Final = ("redis+sentinel://", "rediss+sentinel://")
PORT: Final = 26379

ASK_SECONDS: Final = 1.0
"""For each step of asking one Sentinel: one that is gone must not hold up the others."""

_FORM: Final = "redis+sentinel://[user:password@]host:port[,host:port...]/<master name>[/db]"
_OWN: Final = {"sentinel_username": "username", "sentinel_password": "password"}


@dataclass(frozen=True, slots=True)
class Watched:
    """A primary behind Sentinels: whom to ask for what, and how to speak to both.

    `node` holds redis-py's options for the data nodes, `asking` those for the Sentinels.
    """

    name: str
    hosts: tuple[tuple[str, int], ...]
    master: str
    node: dict[str, Any] = field(repr=False)
    asking: dict[str, Any] = field(repr=False)


class _Connection(SentinelManagedConnection):
    """A connection that is closed when reading is broken off, as redis-py's plain ones are.

    A signal may end a wait at any moment; the reply would then be taken for the next command's.
    """

    def read_response(
        self, *args: Any, disconnect_on_error: bool | None = True, **options: Any
    ) -> Any:
        """Read one reply."""
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)


class _SecureConnection(_Connection, SentinelManagedSSLConnection):
    """The same over TLS."""


class _Pool(AsyncSentinelConnectionPool):
    """A pool that closes its connections to the Sentinels along with its own."""

    async def aclose(self) -> None:
        """Close everything."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def parse(url: str) -> Watched:
    """Return what a URL says.

    Raises:
        ValueError: it says less, or something else; the message says how to write it.
    """
    scheme, _, rest = url.partition("+sentinel://")
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    credentials, at, listed = authority.rpartition("@")
    master, _, db = path.partition("/")
    hosts = tuple(_host(part) for part in listed.split(","))
    if not master or (db and not db.isdigit()):
        raise ValueError(f"must name what the Sentinels watch: {_FORM}")
    options = dict(parse_qsl(query))
    own = {ours: options.pop(name) for name, ours in _OWN.items() if name in options}
    plain = f"{scheme}://{credentials}{at}unknown/{db or 0}?{urlencode(options)}"
    node = parse_url(plain)  # type: ignore[no-untyped-call]  # redis-py's
    tls = {name: value for name, value in node.items() if name.startswith("ssl_")}
    if node.pop("connection_class", None):
        tls["ssl"] = True
    del node["host"]
    return Watched(
        name=f"{scheme}+sentinel://{listed}/{master}",
        hosts=hosts,
        master=unquote(master),
        node=node | tls,
        asking=own | tls,
    )


def client(url: str, options: dict[str, Any]) -> Redis:
    """Return a blocking client; what the URL says goes before `options`."""
    found = parse(url)
    asking = _patience() | {"retry": Retry(NoBackoff(), 0)} | found.asking
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py's
        found.hosts, sentinel_kwargs=asking, **(options | found.node)
    )
    primary: Redis = sentinel.master_for(  # type: ignore[no-untyped-call]  # its too
        found.master, connection_class=_SecureConnection if "ssl" in found.node else _Connection
    )
    return primary


def async_client(url: str, options: dict[str, Any]) -> AsyncRedis:
    """Return an asyncio client; what the URL says goes before `options`."""
    found = parse(url)
    asking = _patience() | {"retry": AsyncRetry(NoBackoff(), 0)} | found.asking
    sentinel = AsyncSentinel(  # type: ignore[no-untyped-call]  # redis-py's
        found.hosts, sentinel_kwargs=asking, **(options | found.node)
    )
    primary: AsyncRedis = sentinel.master_for(found.master, connection_pool_class=_Pool)
    return primary


def _patience() -> dict[str, Any]:
    return {"socket_timeout": ASK_SECONDS, "socket_connect_timeout": ASK_SECONDS}


def _host(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError(f"must list the Sentinels: {_FORM}")
    return host, port or PORT
