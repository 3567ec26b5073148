"""What Redis can promise at this moment: how durable an answer is, how full it is, how late.

Durability is proven, not assumed: by `WAITAOF` where the server has it (it refuses to answer
when no append-only file is written), else by reading that `appendfsync always` is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from receiver.broker import Keys
from receiver.event import KINDS
from receiver.settings import CommonSettings, ReceiverSettings


class Level(StrEnum):
    """What an acknowledgement stands for."""

    FSYNC = "fsync"
    MEMORY = "memory"
    UNPROVEN = "unproven"


class Findings(NamedTuple):
    """One look at Redis.

    `problem` is the sentence that says why nothing may be acknowledged, and what to change.
    `waitaof` says whether each commit waits for its own fsync. `skew` is this machine's clock
    minus Redis', in seconds. `shedding` names the mark that is exceeded, or is None.
    """

    level: Level
    problem: str | None
    waitaof: bool
    cluster: bool
    skew: float
    oldest_age: float
    memory_share: float
    shedding: str | None


_NO_AOF: Final = (
    "Redis keeps no append-only file: set `appendonly yes` and `appendfsync always`,"
    " or SYNAP_ACK=memory to answer from memory"
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


_CLUSTER_FOUND: Final = Findings(
    level=Level.UNPROVEN,
    problem=CLUSTER,
    waitaof=False,
    cluster=True,
    skew=0.0,
    oldest_age=0.0,
    memory_share=0.0,
    shedding=None,
)


async def look(redis: AsyncRedis, settings: ReceiverSettings, *, now: float) -> Findings:
    """Ask Redis what it can promise.

    Raises:
        redis.exceptions.RedisError: it cannot be reached or refuses to say.
    """
    keys = Keys(settings.key_prefix)
    info = await redis.info()
    if info.get("cluster_enabled"):
        return _CLUSTER_FOUND
    async with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        for kind in KINDS:
            pipe.zrange(keys.inflight(kind), 0, 0, withscores=True)
        (seconds, micros), *heads = await pipe.execute()
    level, waitaof, problem = await _durability(redis, settings, info)
    oldest = min((float(head[0][1]) for head in heads if head), default=now)
    share = int(info["used_memory"]) / int(info["maxmemory"]) if info.get("maxmemory") else 0.0
    return Findings(
        level=level,
        problem=problem or _eviction(info),
        waitaof=waitaof,
        cluster=False,
        skew=now - (seconds + micros / 1e6),
        oldest_age=max(0.0, now - oldest),
        memory_share=share,
        shedding=_mark(settings, max(0.0, now - oldest), share),
    )


async def _durability(
    redis: AsyncRedis, settings: CommonSettings, info: dict[str, Any]
) -> tuple[Level, bool, str | None]:
    if settings.ack == "memory":
        return Level.MEMORY, False, None
    if not info.get("aof_enabled"):
        return Level.UNPROVEN, False, _NO_AOF
    try:
        await redis.waitaof(1, 0, 1)
    except ResponseError:
        pass
    else:
        return Level.FSYNC, True, None
    try:
        policy: Mapping[Any, Any] = await redis.config_get("appendfsync")
    except ResponseError:
        policy = {}
    if "always" in {_text(value) for value in policy.values()}:
        return Level.FSYNC, False, None
    return Level.UNPROVEN, False, _NOT_ALWAYS


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
