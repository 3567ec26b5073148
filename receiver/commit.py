"""One commit: many verified deliveries, one script, one round trip, one fsync.

`accept.lua` does the work; this module prepares its arguments and reads its answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.batch import Batch, Outcome, Submission
from receiver.broker import Keys, accept_script
from receiver.errors import Shortage, UnavailableError

MAX_EVENTS: Final = 256
MAX_BYTES: Final = 4 * 1024 * 1024


class Committer:
    """Runs the accept script on a connection of its own, proving durability when asked to."""

    def __init__(self, redis: AsyncRedis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._script = accept_script()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._connection: AbstractConnection | None = None

    async def commit(
        self, batch: Sequence[Submission], *, now: float, wait_ms: int | None
    ) -> list[Outcome]:
        """Commit a batch and return what became of each submission, in order.

        Args:
            batch: at most `MAX_EVENTS` submissions.
            now: Unix seconds.
            wait_ms: how long to wait for the fsync; None when the reply itself proves it.

        Raises:
            UnavailableError: nothing may be acknowledged. The commit may have happened all
                the same; then the sender's retry is answered `duplicate`.
        """
        entered = Batch(self._keys, batch, now=now)
        answers = await self._run_or_refuse(entered.arguments(), wait_ms)
        return entered.outcomes(answers)

    async def _run_or_refuse(self, args: list[Any], wait_ms: int | None) -> list[int]:
        try:
            try:
                return await self._run(args, wait_ms)
            except NoScriptError:
                await self._redis.script_load(self._script)
                return await self._run(args, wait_ms)
        except (RedisError, OSError) as error:
            raise await self._unavailable(error) from error

    async def _run(self, args: list[Any], wait_ms: int | None) -> list[int]:
        """Send the script and the wait in one write; read both answers."""
        packed = _pack("EVALSHA", self._sha, 0, *args)
        if wait_ms is not None:
            packed += _pack("WAITAOF", 1, 0, wait_ms)
        connection = await self._connected()
        try:
            await connection.send_packed_command([packed], check_health=False)
            answers, waited = await _replies(connection, 1 if wait_ms is None else 2)
        except BaseException:
            # An answer may still be on its way: nothing more can be read from this connection.
            self._connection = None
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)
            raise
        if isinstance(answers, ResponseError):
            raise answers
        if isinstance(waited, ResponseError):
            raise waited
        if waited is not None and waited[0] < 1:
            raise UnavailableError(Shortage.NOT_DURABLE)
        found: list[int] = answers
        return found

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            pool: Any = self._redis.connection_pool
            self._connection = await pool.get_connection()
        connection: AbstractConnection = self._connection
        return connection

    async def _unavailable(self, error: Exception) -> UnavailableError:
        """Name the shortage; after a failover the old connections lead to a replica."""
        if isinstance(error, ReadOnlyError):
            await self.close()
            await self._redis.connection_pool.disconnect()
        if isinstance(error, RedisTimeoutError):
            return UnavailableError(Shortage.COMMIT_TIMEOUT)
        unreachable = (RedisConnectionError, OSError)
        if isinstance(error, unreachable) and not isinstance(error, BusyLoadingError):
            return UnavailableError(Shortage.REDIS_UNREACHABLE)
        return UnavailableError(Shortage.REDIS_REFUSED)

    async def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect()
            await self._redis.connection_pool.release(connection)


def _pack(*command: Any) -> bytes:
    packed: bytes = hiredis.pack_command(command)
    return packed


async def _replies(connection: AbstractConnection, count: int) -> tuple[Any, Any]:
    """Read one or two replies; a refused command is a value, so that the next is read too."""
    replies: list[Any] = [None, None]
    for at in range(count):
        try:
            replies[at] = await connection.read_response(timeout=math.inf)
        except ResponseError as error:
            replies[at] = error
    return replies[0], replies[1]
