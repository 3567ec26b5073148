"""What a command works with: the environment, the clock, and an opened ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from redis import Redis
from redis.exceptions import RedisError

from receiver import broker
from receiver.broker import Keys
from receiver.errors import SettingsError
from receiver.settings import CommonSettings, load
from workers.cli.exits import Misuse, RedisTrouble
from workers.handlers.fields import clean
from workers.ledger.listing import Listing
from workers.ledger.operate import Operator
from workers.ledger.transitions import Ledger
from workers.settings import WorkerSettings

PAGE: Final = 50

S = TypeVar("S", bound=CommonSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where a command runs; `clock` gives Unix seconds."""

    environ: Mapping[str, str]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An opened ledger; `now` is the moment at which the command began, in Unix seconds."""

    redis: Redis
    keys: Keys
    listing: Listing
    settings: WorkerSettings
    now: float

    def operator(self, actor: str) -> Operator:
        """Return the actions, in the name of `actor`."""
        window = self.settings.dedup_window
        ledger = Ledger(self.redis, self.keys, dedup_window=window)
        return Operator(self.redis, self.keys, ledger, actor=actor, dedup_window=window)


@contextmanager
def opened(world: World) -> Iterator[Session]:
    """Open the ledger that the environment names.

    Raises:
        Trouble: the settings are wrong, or Redis cannot be reached or refuses.
    """
    settings = settings_of(WorkerSettings, world.environ)
    redis = broker.connect(settings)
    keys = Keys(settings.key_prefix)
    try:
        yield Session(
            redis=redis,
            keys=keys,
            listing=Listing(redis, keys, page=PAGE),
            settings=settings,
            now=world.clock(),
        )
    except RedisError as error:
        said = str(error).partition(" : <")[0]  # redis-py adds its clients of the Sentinels
        raise RedisTrouble(
            f"Redis at {broker.server_name(settings)}: {clean(said).rstrip('.')}. "
            "Start it, or set SYNAP_REDIS_URL to the one that the service uses."
        ) from error
    finally:
        redis.close()


def settings_of(
    cls: type[S],
    environ: Mapping[str, str],
    *,
    further: Callable[[S], Sequence[str]] = lambda _: (),
) -> S:
    """Return a role's settings; `further` is as in `receiver.settings.load`.

    Raises:
        Trouble: with every problem, each naming its variable and how to mend it.
    """
    try:
        return load(cls, environ, further=further)
    except SettingsError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise Misuse(f"the settings are wrong:\n{lines}") from error
