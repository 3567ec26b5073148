"""A script's call whose answer is read later: Redis works on it while this process goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError


class Ahead:
    """A call that was sent; its connection belongs to it until its answer was read."""

    def __init__(self, redis: Redis, script: Script, args: Sequence[Any]) -> None:
        """Send the call.

        Raises:
            redis.exceptions.RedisError: it could not be sent.
        """
        self._script = script
        self._args = args
        pool: Any = redis.connection_pool
        self._pool = pool
        self._connection = pool.get_connection()
        try:
            self._connection.send_command("EVALSHA", script.sha, 0, *args)
        except BaseException:
            self.abandon()
            raise

    def answer(self) -> Any:
        """Wait for the answer and return it; once.

        Raises:
            redis.exceptions.RedisError: there is none, or the script refused.
        """
        try:
            found = self._read()
        except BaseException:
            self.abandon()
            raise
        self._give_back()
        return found

    def abandon(self) -> None:
        """Give up the answer, if it was not read: nothing more can be read from its connection."""
        if self._connection is not None:
            self._connection.disconnect()
            self._give_back()

    def _read(self) -> Any:
        try:
            return self._connection.read_response()
        except NoScriptError:
            self._connection.send_command("EVAL", self._script.script, 0, *self._args)
            return self._connection.read_response()

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        self._pool.release(connection)
