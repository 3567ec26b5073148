"""The client's share of the plan's rate, common to every process that uses the same key.

It stands in Redis, because the plan counts by key and not by process: whatever the number of
workers, and with the command line beside them, Synap sees at most the plan's rate. The clock is
Redis' own, for the same reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

FREE_PER_MINUTE: Final = 60
FREE_BURST: Final = 10
PRO_PER_MINUTE: Final = 600
PRO_BURST: Final = 50

_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local interval, burst, rest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local busy = tonumber(redis.call('GET', KEYS[1]) or 0)
if rest > 0 then
    busy = math.max(busy, now + rest + interval * (burst - 1))
    redis.call('SET', KEYS[1], string.format('%.6f', busy), 'PX', math.ceil((busy - now) * 1000))
    return '0'
end
busy = math.max(busy, now)
local wait = busy - now - interval * (burst - 1)
if wait > 0 then return tostring(wait) end
busy = busy + interval
redis.call('SET', KEYS[1], string.format('%.6f', busy), 'PX', math.ceil((busy - now) * 1000))
return '0'
"""


class Allowance(NamedTuple):
    """How often one key may call: evenly over a minute, so many at once."""

    per_minute: int = FREE_PER_MINUTE

    @property
    def interval(self) -> float:
        """Seconds between calls."""
        return 60 / self.per_minute

    @property
    def burst(self) -> int:
        """How many calls may be made at once."""
        burst = FREE_BURST if self.per_minute < PRO_PER_MINUTE else PRO_BURST
        return min(burst, self.per_minute)


class Pace:
    """Spends one key's allowance; `name` tells keys apart and gives none away."""

    def __init__(self, redis: Redis, prefix: str, allowance: Callable[[], Allowance]) -> None:
        self._room = f"{prefix}:synap:pace:"
        self._allowance = allowance
        self._script = redis.register_script(_TAKE)

    def take(self, name: str) -> float:
        """Take one call; return 0, or how many seconds to wait before asking again."""
        return self._call(name, 0.0)

    def rest(self, name: str, seconds: float) -> None:
        """Let nobody call for so long: Synap asked for it."""
        self._call(name, seconds)

    def _call(self, name: str, rest: float) -> float:
        allowance = self._allowance()
        args = [allowance.interval, allowance.burst, rest]
        try:
            return float(self._script(keys=[self._room + name], args=args))
        except RedisError:  # a person who rolls back must not wait for Redis; Synap counts too
            return 0.0


def name_of(key: str) -> str:
    """Return what stands for an API key in the name of its allowance."""
    return hashlib.sha256(b"pace:" + key.encode()).hexdigest()[:16]
