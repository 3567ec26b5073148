"""What Redis can promise at this moment: how durable an answer is, how full it is, how late.

Durability is proven, not assumed: by `WAITAOF` where the server has it (it refuses to answer
when no append-only file is written), else by reading that `appendfsync always` is on. That a
replica has it, in its memory, is proven by `WAIT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError, ResponseError

from receiver.broker import FSYNC, REPLICATION, Keys, Wait
from receiver.event import KINDS
from receiver.settings import CommonSettings, ReceiverSettings


class Level(StrEnum):
    """What an acknowledgement stands for."""

    REPLICA = "replica"
    FSYNC = "fsync"
    MEMORY = "memory"
    UNPROVEN = "unproven"


class Findings(NamedTuple):
    """One look at Redis.

    `problem` is the sentence that says why nothing may be acknowledged, and what to change.
    `waits` are the commands, without their time-out, that each commit ends with. `server` is
    another after every restart and failover. `skew` is this machine's clock minus Redis', in
    seconds. `shedding` names the mark that is exceeded, or is None.
    """

    level: Level
    problem: str | None
    waits: tuple[Wait, ...]
    server: str
    cluster: bool
    skew: float
    oldest_age: float
    memory_share: float
    shedding: str | None


class _Promise(NamedTuple):
    """What an acknowledgement may stand for, and how each commit proves it."""

    level: Level
    waits: tuple[Wait, ...] = ()
    problem: str | None = None


_NO_AOF: Final = (
    "Redis keeps no append-only file: set `appendonly yes` and `appendfsync always`,"
    " or SYNAP_ACK=memory to answer from memory"
)
_NO_AOF_TO_COPY: Final = (
    "Redis keeps no append-only file, so a primary that restarts is empty, and its replicas with"
    " it: set `appendonly yes`, or SYNAP_ACK=memory to answer from memory"
)
_NO_REPLICA: Final = (
    "no replica of this Redis is connected: attach one (`replicaof`),"
    " or set SYNAP_ACK=fsync to answer from this server's disk alone"
)
_NO_WAIT: Final = (
    "this Redis refuses WAIT, so nobody can tell what a replica has: allow the command (ACL"
    " `+wait`), or set SYNAP_ACK=fsync to answer from this server's disk alone"
)
_A_REPLICA: Final = (
    "this Redis is a replica, which takes no writes: point SYNAP_REDIS_URL at the primary,"
    " or at its Sentinels"
)
_NOT_ALWAYS: Final = (
    "this Redis has no WAITAOF and `appendfsync` is not `always`: set `appendfsync always`,"
    " or SYNAP_ACK=memory to answer from memory"
)
_EVICTS: Final = (
    "Redis evicts keys when full (maxmemory-policy {policy}), so what was acknowledged could"
    " vanish: set `maxmemory-policy noeviction`"
)
CLUSTER: Final = (
    "SYNAP_REDIS_URL points at a Redis Cluster: one commit touches many keys, which a cluster"
    " refuses; use a single primary (managed, Sentinel or Valkey)"
)
_REFUSES: Final = "Redis refuses what it is asked: {refusal}"


async def look(redis: AsyncRedis, settings: ReceiverSettings, *, now: float) -> Findings:
    """Ask Redis what it can promise; when it refuses to say, its own words are the problem.

    Raises:
        redis.exceptions.RedisError: it cannot be reached.
    """
    try:
        return await _look(redis, settings, now)
    except RedisError as error:
        # The client begins with PING, and takes a refusal of it for a connection that failed.
        refusal = error if isinstance(error, ResponseError) else error.__cause__
        if not isinstance(refusal, ResponseError):
            raise
        return _nothing(_REFUSES.format(refusal=refusal))


async def _look(redis: AsyncRedis, settings: ReceiverSettings, now: float) -> Findings:
    keys = Keys(settings.key_prefix)
    await redis.ping()  # refused, with the reason, by a server whose disk takes no writes
    info = await redis.info()
    if info.get("cluster_enabled"):
        return _nothing(CLUSTER, cluster=True)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        for kind in KINDS:
            pipe.zrange(keys.inflight(kind), 0, 0, withscores=True)
        (seconds, micros), *heads = await pipe.execute()
    promise = await _promise(redis, settings, info)
    oldest = min((float(head[0][1]) for head in heads if head), default=now)
    share = int(info["used_memory"]) / int(info["maxmemory"]) if info.get("maxmemory") else 0.0
    return Findings(
        level=promise.level,
        problem=promise.problem or _eviction(info),
        waits=promise.waits,
        server=str(info.get("run_id", "")),  # a managed server may not say
        cluster=False,
        skew=now - (seconds + micros / 1e6),
        oldest_age=max(0.0, now - oldest),
        memory_share=share,
        shedding=_mark(settings, max(0.0, now - oldest), share),
    )


def _nothing(problem: str, *, cluster: bool = False) -> Findings:
    return Findings(
        level=Level.UNPROVEN,
        problem=problem,
        waits=(),
        server="",
        cluster=cluster,
        skew=0.0,
        oldest_age=0.0,
        memory_share=0.0,
        shedding=None,
    )


async def _promise(redis: AsyncRedis, settings: CommonSettings, info: dict[str, Any]) -> _Promise:
    if info.get("role") == "slave":
        return _Promise(Level.UNPROVEN, problem=_A_REPLICA)
    if settings.ack == "memory":
        return _Promise(Level.MEMORY)
    if settings.ack == "replica":
        return await _replicated(redis, info)
    return await _synced(redis, info)


async def _replicated(redis: AsyncRedis, info: dict[str, Any]) -> _Promise:
    """Promise a replica's memory, and this server's disk as far as it can be waited for."""
    if not info.get("aof_enabled"):
        return _Promise(Level.UNPROVEN, problem=_NO_AOF_TO_COPY)
    try:
        if await redis.wait(1, 1) < 1:
            return _Promise(Level.UNPROVEN, problem=_NO_REPLICA)
    except ResponseError:
        return _Promise(Level.UNPROVEN, problem=_NO_WAIT)
    synced = await _synced(redis, info)
    return _Promise(Level.REPLICA, (*synced.waits, REPLICATION))


async def _synced(redis: AsyncRedis, info: dict[str, Any]) -> _Promise:
    """Promise this server's disk."""
    if not info.get("aof_enabled"):
        return _Promise(Level.UNPROVEN, problem=_NO_AOF)
    try:
        await redis.waitaof(1, 0, 1)
    except ResponseError:
        pass
    else:
        return _Promise(Level.FSYNC, (FSYNC,))
    try:
        policy: Mapping[Any, Any] = await redis.config_get("appendfsync")
    except ResponseError:
        policy = {}
    if "always" in {_text(value) for value in policy.values()}:
        return _Promise(Level.FSYNC)
    return _Promise(Level.UNPROVEN, problem=_NOT_ALWAYS)


def _eviction(info: dict[str, Any]) -> str | None:
    policy = _text(info.get("maxmemory_policy", "noeviction"))
    if not info.get("maxmemory") or policy == "noeviction":
        return None
    return _EVICTS.format(policy=policy)


def _mark(settings: ReceiverSettings, oldest_age: float, memory_share: float) -> str | None:
    if oldest_age > settings.shed_age:
        return "oldest_age"
    if memory_share > settings.shed_memory:
        return "memory"
    return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
