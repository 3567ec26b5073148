"""How far what was told is known to survive: proof for each write, or a mark on what may repeat.

An outcome waits as an acknowledgement does. Under `SYNAP_ACK=fsync` for its fsync: by `WAITAOF`
where the server has it, by the reply alone where `appendfsync always` is on. Under
`SYNAP_ACK=replica` also until a replica has it. Anything less may lose its last second with the
server, and what is sent again then has to say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
from redis import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from receiver.broker import FSYNC, REPLICATION, Wait
from workers.alerting.keys import room

LOOK_SECONDS: Final = 1.0
"""Seconds for which one look at the server holds; a failover takes longer."""

_log = structlog.get_logger("workers.alerting")


class Standing(NamedTuple):
    """What one look found.

    `always` says whether replies prove that the disk has it, `waits` what each write waits for,
    `promoted_at` when a replica took over the last time.
    """

    always: bool = True
    waits: tuple[Wait, ...] = ()
    promoted_at: float = float("-inf")


class Durability:
    """Runs scripts and waits until what they wrote is as durable as `SYNAP_ACK` says.

    Args:
        redis: a client.
        prefix: of every key.
        ack: `memory`, `fsync` or `replica`.
        patience: seconds to wait.
        clock: Unix seconds.
    """

    def __init__(
        self, redis: Redis, prefix: str, *, ack: str, patience: float, clock: Callable[[], float]
    ) -> None:
        self._redis = redis
        self._primary = f"{room(prefix)}primary"
        self._ack = ack
        self._milliseconds = max(1, int(patience * 1000))
        self._clock = clock
        self._looked_at = float("-inf")
        self._standing = Standing()

    def suspect(self, since: float) -> bool:
        """Say whether the server may have forgotten something that happened since then.

        It may if it took over later than that from the server that it copied, or started later and
        did not put every write to disk at once.
        """
        standing = self._look()
        if since < standing.promoted_at:
            return True
        if standing.always:
            return False
        uptime = float(self._redis.info("server").get("uptime_in_seconds", 0))
        return since < self._clock() - uptime

    def run(self, script: str, args: Sequence[Any]) -> Any:
        """Run a script, wait until what it wrote is durable, and return its answer.

        A wait that fails is logged, not raised: what the script says has happened.
        """
        waits = self._look().waits
        if not waits:
            return self._evaluate(script, args, self._redis)
        with self._redis.client() as connection:  # type: ignore[no-untyped-call]  # redis-py's
            answer = self._evaluate(script, args, connection)
            for wait in waits:
                self._await(wait, connection)
        return answer

    def _await(self, wait: Wait, connection: Redis) -> None:
        try:
            reply: Any = connection.execute_command(*wait, self._milliseconds)  # type: ignore[no-untyped-call]  # redis-py's
        except RedisError as error:
            _log.warning("outcome.not_durable", error=type(error).__name__)
            return
        if (reply[0] if isinstance(reply, list) else reply) < 1:
            _log.warning("outcome.not_durable", error="timeout")

    def _evaluate(self, script: str, args: Sequence[Any], connection: Redis) -> Any:
        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return connection.evalsha(sha, 0, *args)
        except NoScriptError:
            return connection.eval(script, 0, *args)

    def _look(self) -> Standing:
        """Return what is known of the server, asked again now and then."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._standing = self._ask(now)
        return self._standing

    def _ask(self, now: float) -> Standing:
        info: Mapping[str, Any] = self._redis.info()
        appends = bool(info.get("aof_enabled"))
        always = appends and b"always" in {
            value if isinstance(value, bytes) else str(value).encode()
            for value in self._setting("appendfsync").values()
        }
        waits = []
        if self._ack != "memory" and appends and not always and self._has_waitaof():
            waits.append(FSYNC)
        if self._ack == "replica" and _has_replica(info):
            waits.append(REPLICATION)
        return Standing(always, tuple(waits), self._promoted_at(info, now))

    def _promoted_at(self, info: Mapping[str, Any], now: float) -> float:
        """Return when this primary took over from another, as far as anybody has seen it."""
        found: Any = self._redis.hmget(self._primary, "id", "promoted_at")
        known, at = found
        current = str(info.get("master_replid", ""))
        promoted_at = float(at) if at else float("-inf")
        if known == current.encode():
            return promoted_at
        if known and info.get("master_replid2"):  # the id of whom it followed: 0 after a restart
            promoted_at = now
        self._redis.hset(self._primary, mapping={"id": current, "promoted_at": promoted_at})
        return promoted_at

    def _setting(self, name: str) -> dict[Any, Any]:
        try:
            found: dict[Any, Any] = self._redis.config_get(name)
        except ResponseError:  # a managed server may not say
            return {}
        return found

    def _has_waitaof(self) -> bool:
        try:
            self._redis.waitaof(0, 0, 1)
        except ResponseError:
            return False
        return True


def _has_replica(info: Mapping[str, Any]) -> bool:
    """Say whether there is a replica to wait for: waiting for none would hold up every page."""
    replicas = [info[name] for name in info if name.startswith("slave")]
    found = any(isinstance(one, dict) and one.get("state") == "online" for one in replicas)
    if not found:
        _log.warning("outcome.not_durable", error="no replica")
    return found
