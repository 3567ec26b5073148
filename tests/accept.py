"""Commits events through the receiver's own committer, for tests that begin behind the edge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from receiver.batch import Batch, Outcome, Submission
from receiver.broker import Keys
from receiver.commit import Committer
from receiver.errors import Flaw, UnavailableError
from receiver.event import DEFAULT_ENDPOINT, parse
from receiver.intake import Intake
from tests.build import LABEL, make_event

KEYS = Keys("synap")


def submission(
    body: Mapping[str, Any] | bytes, *, now: float | None = None, flaw: Flaw | None = None
) -> Submission:
    """Return a verified delivery of `body`."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    at = time.time() if now is None else now
    event = None if flaw else parse(raw, endpoint=DEFAULT_ENDPOINT, received_at=at)
    return Submission(event, raw, DEFAULT_ENDPOINT, LABEL, at, flaw)


def entered(submissions: Sequence[Submission]) -> Batch:
    """Return a batch of submissions."""
    batch = Batch(KEYS)
    for item in submissions:
        batch.enter(item)
    return batch


def commit(url: str, batch: Sequence[Submission], *, now: float | None = None) -> list[Outcome]:
    """Commit one batch and return its outcomes."""
    [outcomes] = commit_all(url, [batch], now=now)
    return outcomes


def commit_all(
    url: str, batches: Sequence[Sequence[Submission]], *, now: float | None = None
) -> list[list[Outcome]]:
    """Commit batches one after the other and return their outcomes."""

    async def run() -> list[list[Outcome]]:
        redis = AsyncRedis.from_url(url)
        committer = Committer(redis)
        try:
            at = time.time() if now is None else now
            return [await committer.commit(entered(batch), now=at) for batch in batches]
        finally:
            await committer.close()
            await redis.aclose()

    return asyncio.run(run())


def submit(intake: Intake, item: Submission) -> asyncio.Future[Outcome]:
    """Submit to a running intake and return what becomes of it."""
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def settle(outcome: Outcome | UnavailableError) -> None:
        if isinstance(outcome, UnavailableError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    intake.submit(item, settle)
    return answer


def record(redis: Redis, key: str) -> dict[str, Any]:
    """Return the ledger record of an event; empty when there is none."""
    held = redis.get(KEYS.event(key))
    return orjson.loads(held) if held else {}


def change(redis: Redis, key: str, **fields: Any) -> None:
    """Change the ledger record of an event by hand."""
    redis.set(KEYS.event(key), orjson.dumps(record(redis, key) | fields))


def accept(
    url: str, count: int = 1, *, event_type: str = "ingestion.failed", now: float | None = None
) -> list[str]:
    """Commit `count` events in one batch and return their safe keys."""
    bodies = [make_event(event_type, event_id=f"evt_{event_type}_{n}") for n in range(count)]
    batch = [submission(body, now=now) for body in bodies]
    assert commit(url, batch, now=now) == [Outcome.ACCEPTED] * count
    return [item.event.key for item in batch if item.event]
