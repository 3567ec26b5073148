"""Group commit: what arrives while one commit is under way goes into the next.

Unless it is more than half of what is outstanding: senders that wait for their answers fall into
two groups, and unequal ones keep either this process or Redis waiting for the other. Each
submission is settled by itself, and only after its own commit. At most one commit is
under way, so that a duplicate which arrives meanwhile waits for the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import structlog
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from receiver.batch import MAX_EVENTS, Batch, Outcome, Share, Submission
from receiver.broker import Keys, Wait
from receiver.commit import Committer
from receiver.errors import SettingsError, Shortage, UnavailableError
from receiver.settings import ReceiverSettings
from receiver.watch import CLUSTER, Findings, Level, look

MAX_WAITING: Final = 8_192
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
LAST_ATTEMPTS_AGE: Final = 2 * 3600 + 36 * 60
"""Seconds: an older delivery is on the sender's last attempts and is never shed."""

LOOK_INTERVAL: Final = 5.0
HOPEFUL_INTERVAL: Final = 1.0
"""Seconds between looks while nothing can be accepted: it may be over at any moment."""

RESPITE: Final = 0.5
"""Seconds after each look before a failed commit calls for the next."""

Settle = Callable[[Outcome | UnavailableError], None]
"""What takes the outcome of a submission, or why there is none."""

_log = structlog.get_logger("receiver.intake")


class CommitReport(NamedTuple):
    """A finished commit of so many events, unless `shortage` says why nothing was acknowledged."""

    events: int
    shortage: Shortage | None
    seconds: float


class Collected:
    """A batch and who waits for the outcomes of its submissions, in the same order."""

    __slots__ = ("batch", "waiting")

    def __init__(self, keys: Keys) -> None:
        self.batch = Batch(keys)
        self.waiting: list[Settle] = []


class Intake:
    """Collects submissions and commits them in batches; knows what may be acknowledged."""

    def __init__(
        self,
        redis: AsyncRedis,
        settings: ReceiverSettings,
        *,
        on_commit: Callable[[CommitReport], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._on_commit = on_commit
        self._clock = clock
        self._committer = Committer(redis)
        self._keys = Keys(settings.key_prefix)
        self._collecting = Collected(self._keys)
        self._full: deque[Collected] = deque()
        self._share = Share()
        self._under_way = 0
        self._waiting = 0
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._open = False
        self._findings: Findings | None = None
        self._committing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._doubted = asyncio.Event()

    @property
    def level(self) -> Level:
        """What an acknowledgement stands for now."""
        return self._findings.level if self._findings else Level.UNPROVEN

    @property
    def findings(self) -> Findings | None:
        """The last look at Redis; None while it cannot be reached."""
        return self._findings

    def ready(self) -> str | None:
        """Return why nothing can be accepted now, or None."""
        if self._stopping:
            return "stopping"
        if self._findings is None:
            return "redis is unreachable"
        return self._findings.problem

    async def start(self) -> None:
        """Look at Redis once, then begin to commit; an unreachable Redis is no error.

        Raises:
            SettingsError: the server is a Redis Cluster.
        """
        await self._look()
        if self._findings and self._findings.cluster:
            raise SettingsError([CLUSTER])
        self._committing = asyncio.create_task(self._commit_forever(), name="committer")
        self._looking = asyncio.create_task(self._look_forever(), name="watch")

    async def stop(self) -> None:
        """Refuse what is new, finish what was submitted, then return."""
        self._stopping = True
        self._open = False
        self._wake.set()
        if self._committing:
            await self._committing
            await self._committer.close()
        if self._looking:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    def submit(self, submission: Submission, settle: Settle) -> None:
        """Queue a verified delivery for the next commit.

        Args:
            submission: the delivery.
            settle: called once with the outcome when it is committed, or with why it is not.

        Raises:
            UnavailableError: at once, when nothing can be promised.
        """
        self._admit(submission)
        size = len(submission.raw)
        # Only the next commit is evened: what comes after it, in a burst, goes together.
        places = MAX_EVENTS if self._full else self._share.size
        if not self._collecting.batch.has_room(size, places):
            self._full.append(self._collecting)
            self._collecting = Collected(self._keys)
        self._collecting.batch.enter(submission)
        self._collecting.waiting.append(settle)
        if not self._waiting:
            self._wake.set()
        self._waiting += 1
        self._waiting_bytes += size

    def _admit(self, submission: Submission) -> None:
        if self._waiting >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            raise UnavailableError(Shortage.OVERLOADED)
        if self._open:
            return
        if self._stopping:
            raise UnavailableError(Shortage.STOPPING)
        findings = self._findings
        if findings is None:
            raise UnavailableError(Shortage.REDIS_UNREACHABLE)
        if findings.problem:
            raise UnavailableError(Shortage.NOT_DURABLE)
        if findings.shedding and not _on_last_attempts(submission):
            raise UnavailableError(Shortage.SHEDDING)

    async def _commit_forever(self) -> None:
        while self._waiting or not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._commit(self._next())
            if self._stopping:
                self._wake.set()

    def _next(self) -> Collected:
        """Take what waits longest out of what waits."""
        if self._full:
            collected = self._full.popleft()
        else:
            collected, self._collecting = self._collecting, Collected(self._keys)
        self._under_way = len(collected.batch)
        self._waiting -= self._under_way
        self._waiting_bytes -= collected.batch.size
        return collected

    async def _commit(self, collected: Collected) -> None:
        began = time.perf_counter()
        outcomes: list[Outcome] = []
        shortage: Shortage | None = None
        try:
            async with asyncio.timeout(self._settings.commit_timeout):
                outcomes = await self._committer.commit(
                    collected.batch, now=self._clock(), waits=self._waits()
                )
        except UnavailableError as error:
            shortage = Shortage(error.reason)
        except TimeoutError:
            shortage = Shortage.COMMIT_TIMEOUT
        except Exception:  # noqa: BLE001  # the requests must be answered, and intake live on
            _log.exception("commit.broke", events=len(collected.batch))
            shortage = Shortage.REDIS_REFUSED
        if shortage is not None:
            self._doubted.set()
        self._share.see(self._under_way + self._waiting)
        self._under_way = 0
        # These answers leave before the next commit does: their senders go on meanwhile.
        _settle(collected.waiting, outcomes, shortage)
        seconds = time.perf_counter() - began
        self._on_commit(CommitReport(len(collected.batch), shortage, seconds))

    def _waits(self) -> list[Wait]:
        if self._findings is None:
            return []
        milliseconds = max(1, int(self._settings.commit_timeout * 1000))
        return [(*wait, milliseconds) for wait in self._findings.waits]

    async def _look_forever(self) -> None:
        """Look now and then, and as soon as a commit has failed: the look decides, not that."""
        while True:
            await asyncio.sleep(RESPITE)
            interval = LOOK_INTERVAL if self._open else HOPEFUL_INTERVAL
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._doubted.wait(), interval - RESPITE)
            self._doubted.clear()
            await self._look()

    async def _look(self) -> None:
        await self._renew_findings()
        findings = self._findings
        well = findings is not None and not findings.problem and not findings.shedding
        self._open = well and not self._stopping

    async def _renew_findings(self) -> None:
        before = self._findings
        try:
            async with asyncio.timeout(self._settings.commit_timeout):
                # a name may lead to another primary by now: only a new connection sees it
                await self._redis.connection_pool.disconnect(inuse_connections=False)
                self._findings = await look(self._redis, self._settings, now=self._clock())
        except (RedisError, OSError, TimeoutError) as error:
            self._findings = None
            if before is not None or self._committing is None:
                _log.error("redis.unreachable", error=type(error).__name__)
            return
        after = self._findings
        if before is None or before.server != after.server:
            self._committer.doubt()
        if before is None or (before.level, before.problem) != (after.level, after.problem):
            _log.info("durability.proven", durability=after.level.value, problem=after.problem)
        if after.shedding and not (before and before.shedding):
            _log.warning("shedding.started", mark=after.shedding)


def _on_last_attempts(submission: Submission) -> bool:
    event = submission.event
    return event is not None and submission.received_at - event.timestamp > LAST_ATTEMPTS_AGE


def _settle(waiting: list[Settle], outcomes: list[Outcome], shortage: Shortage | None) -> None:
    """Give each submission its outcome, or all of them the shortage."""
    found: Iterable[Outcome | UnavailableError] = outcomes
    if shortage is not None:
        found = [UnavailableError(shortage)] * len(waiting)
    for settle, outcome in zip(waiting, found, strict=True):
        try:
            settle(outcome)
        except Exception:  # noqa: BLE001  # its neighbours have their answers, and intake lives on
            _log.exception("answer.broke")
