"""Composition: the client, the guard and what they remember, as processes and commands use them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from workers.outbound import Outbound
from workers.section import SecretUnreadableError
from workers.settings import WorkerSettings
from workers.synap.api_section import ApiConfig
from workers.synap.book import Book
from workers.synap.client import Client
from workers.synap.errors import NotConfiguredError
from workers.synap.guard_section import EVERY, GuardConfig
from workers.synap.inspector import Inspector
from workers.synap.lookup import Lookup
from workers.synap.pace import Pace
from workers.synap.transport import Note, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """All that has to do with Synap's configurations, composed."""

    client: Client
    book: Book
    inspector: Inspector
    lookup: Lookup


def compose(
    settings: WorkerSettings,
    redis: Redis,
    guard: Callable[[], GuardConfig],
    api: Callable[[], ApiConfig],
    *,
    outbound: Outbound,
    note: Note = lambda _operation, _error: None,
    clock: Callable[[], float] = time.time,
) -> Desk:
    """Compose a desk.

    Args:
        settings: the resolved settings; whose key and URL are used.
        redis: a client.
        guard: the `guard` section as it holds now.
        api: the `synap` section as it holds now.
        outbound: the way out.
        note: hears of each attempt at a call.
        clock: Unix seconds.
    """
    prefix = settings.key_prefix
    client = Client(
        Transport(
            outbound,
            url=settings.api_url,
            key_of=keys(settings, guard),
            pace=Pace(redis, prefix, lambda: api().allowance),
            policy=lambda: api().policy,
            note=note,
            clock=clock,
        )
    )
    book = Book(redis, prefix)
    inspector = Inspector(client, book, guard, clock=clock)
    return Desk(
        client=client,
        book=book,
        inspector=inspector,
        lookup=Lookup(client, book, inspector),
    )


def keys(settings: WorkerSettings, guard: Callable[[], GuardConfig]) -> Callable[[str], str | None]:
    """Return what finds an instance's API key: its own, else the one for all.

    It raises NotConfiguredError where a key's file cannot be read.
    """
    common = settings.api_key.get_secret_value() if settings.api_key else None

    def key_of(instance_id: str) -> str | None:
        files = guard().keys
        own = files.get(instance_id) or files.get(EVERY)
        if own is None:
            return common
        try:
            return own.reveal()
        except SecretUnreadableError as error:
            raise NotConfiguredError(f"the API key cannot be read: {error}") from None

    return key_of
