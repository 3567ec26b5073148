"""One commit: many verified deliveries, one script, one round trip, one wait for durability.

`accept.lua` does the work; this module prepares its arguments and reads its answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.batch import Batch, Outcome
from receiver.broker import Wait, accept_script
from receiver.errors import Shortage, UnavailableError


class Committer:
    """Runs the accept script on a connection of its own, proving durability when asked to.

    After a commit that failed it opens another connection: the primary may be elsewhere by now.
    """

    def __init__(self, redis: AsyncRedis) -> None:
        self._redis = redis
        self._script = accept_script()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._connection: AbstractConnection | None = None
        self._doubted = False

    async def commit(
        self, batch: Batch, *, now: float, waits: Sequence[Wait] = ()
    ) -> list[Outcome]:
        """Commit a batch and return what became of each submission, in order.

        Args:
            batch: what to commit.
            now: Unix seconds.
            waits: what has to succeed after the script; none when its reply proves enough.

        Raises:
            UnavailableError: nothing may be acknowledged. The commit may have happened all
                the same; then the sender's retry is answered `duplicate`.
        """
        return batch.outcomes(await self._run_or_refuse(batch.arguments(now), waits))

    def doubt(self) -> None:
        """Open another connection for the next commit: this one may lead to the wrong server."""
        self._doubted = True

    async def _run_or_refuse(self, args: list[Any], waits: Sequence[Wait]) -> list[int]:
        try:
            try:
                return await self._run(("EVALSHA", self._sha), args, waits)
            except NoScriptError:
                return await self._run(("EVAL", self._script), args, waits)
        except (RedisError, OSError) as error:
            self.doubt()
            raise UnavailableError(_shortage(error)) from error

    async def _run(
        self, script: tuple[str, str], args: list[Any], waits: Sequence[Wait]
    ) -> list[int]:
        """Send the script and the waits in one write; read every answer."""
        packed = [_pack(*script, 0, *args), *(_pack(*wait) for wait in waits)]
        connection = await self._connected()
        try:
            await connection.send_packed_command(packed, check_health=False)
            answers, *waited = await _replies(connection, 1 + len(waits))
        except BaseException:
            # An answer may still be on its way: nothing more can be read from this connection.
            self._connection = None
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)
            raise
        for reply in (answers, *waited):
            if isinstance(reply, ResponseError):
                raise reply
        if any(_reached(reply) < 1 for reply in waited):
            self.doubt()
            raise UnavailableError(Shortage.NOT_DURABLE)
        found: list[int] = answers
        return found

    async def _connected(self) -> AbstractConnection:
        if self._doubted:
            self._doubted = False
            await self.close()
        if self._connection is None:
            pool: Any = self._redis.connection_pool
            self._connection = await pool.get_connection()
        connection: AbstractConnection = self._connection
        return connection

    async def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)


def _shortage(error: Exception) -> Shortage:
    if isinstance(error, RedisTimeoutError):
        return Shortage.COMMIT_TIMEOUT
    unreachable = (RedisConnectionError, OSError)
    if isinstance(error, unreachable) and not isinstance(error, BusyLoadingError):
        return Shortage.REDIS_UNREACHABLE
    return Shortage.REDIS_REFUSED


def _reached(reply: int | list[int]) -> int:
    """Return how many servers have what was waited for: a disk of our own, or replicas."""
    return reply[0] if isinstance(reply, list) else reply


def _pack(*command: Any) -> bytes:
    packed: bytes = hiredis.pack_command(command)
    return packed


async def _replies(connection: AbstractConnection, count: int) -> list[Any]:
    """Read that many replies; a refused command is a value, so that the next is read too."""
    replies: list[Any] = []
    for _ in range(count):
        try:
            replies.append(await connection.read_response(timeout=math.inf))
        except ResponseError as error:
            replies.append(error)
    return replies
