"""How far what was told is known to survive: proof for each write, or a mark on what may repeat.

Under `SYNAP_ACK=fsync` an outcome waits for its fsync, as an acknowledgement does: by `WAITAOF`
where the server has it, by the reply alone where `appendfsync always` is on. Anything less may
lose its last second with the server, and what is sent again then has to say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from redis import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

LOOK_SECONDS: Final = 5.0
"""Seconds for which one look at the server's settings holds."""

_log = structlog.get_logger("workers.alerting")


class Standing(NamedTuple):
    """What one look found: whether replies prove durability, and whether it can be waited for."""

    always: bool
    waits: bool


class Durability:
    """Runs scripts and waits for their fsync; `wanted` is whether `SYNAP_ACK` is `fsync`.

    Args:
        redis: a client.
        wanted: whether to wait at all.
        patience: seconds to wait for an fsync.
        clock: Unix seconds.
    """

    def __init__(
        self, redis: Redis, *, wanted: bool, patience: float, clock: Callable[[], float]
    ) -> None:
        self._redis = redis
        self._wanted = wanted
        self._milliseconds = max(1, int(patience * 1000))
        self._clock = clock
        self._looked_at = float("-inf")
        self._standing = Standing(always=True, waits=False)

    def suspect(self, since: float) -> bool:
        """Say whether the server may have forgotten something that happened since then.

        It may if it started later than that and did not put every write to disk at once.
        """
        if self._look().always:
            return False
        uptime = float(self._redis.info("server").get("uptime_in_seconds", 0))
        return since < self._clock() - uptime

    def run(self, script: str, args: Sequence[Any]) -> Any:
        """Run a script, wait until what it wrote is on disk, and return its answer.

        A wait that fails is logged, not raised: what the script says has happened.
        """
        if not (self._wanted and self._look().waits):
            return self._evaluate(script, args, self._redis)
        with self._redis.client() as connection:  # type: ignore[no-untyped-call]  # redis-py's
            answer = self._evaluate(script, args, connection)
            self._await(connection)
        return answer

    def _await(self, connection: Redis) -> None:
        try:
            local, _ = connection.waitaof(1, 0, self._milliseconds)
        except RedisError as error:
            _log.warning("outcome.not_durable", error=type(error).__name__)
            return
        if local < 1:
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
            self._standing = self._ask()
        return self._standing

    def _ask(self) -> Standing:
        appends = bool(self._redis.info("persistence").get("aof_enabled"))
        always = appends and b"always" in {
            value if isinstance(value, bytes) else str(value).encode()
            for value in self._setting("appendfsync").values()
        }
        return Standing(always, appends and not always and self._has_waitaof())

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
