"""A call and its reading; and messages of several calls, of which a retry makes only the rest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from workers.alerting.notification import MAX_ALERTS, Call, Notification
from workers.outbound import (
    Answer,
    OutboundError,
    Permanent,
    Reason,
    Retry,
    Sent,
    Verdict,
    classify,
)
from workers.section import SecretUnreadableError

STEP_SECONDS: Final = 10.0
"""Seconds after which no further call is begun: the last one ends within the delivery's lease."""

PROGRESS: Final = "progress"
"""The memory's field for what was taken of a message that is not through yet."""

TOLD: Final = "told"
"""The memory's field for the alerts that were told and are never told again."""

Memory: TypeAlias = Mapping[str, str]


class Step(NamedTuple):
    """One of several calls; `run` gets what is remembered so far and may add to it by `Sent`."""

    id: str
    run: Callable[[Memory], Verdict]


def exchange(
    call: Call, send: Callable[[], Answer], read: Callable[[Answer], Verdict] | None = None
) -> Verdict:
    """Make one call and say what came of it; `read` is the target's own reading of an answer."""
    try:
        answer = send()
    except SecretUnreadableError as error:
        return Retry(Reason.OTHER, str(error))
    except OutboundError as error:
        return classify(error, call.now)
    return read(answer) if read else classify(answer, call.now)


class Progress:
    """What was taken of a message of several calls, through all attempts at it.

    Args:
        call: the attempt.
        clock: monotonic seconds.
    """

    def __init__(self, call: Call, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.memory = dict(call.memory)
        self._delivery = call.delivery
        self._clock = clock
        self._began = clock()
        # Of an older message nothing counts: this one says something else.
        message, *taken = self.memory.pop(PROGRESS, "").split(" ")
        self._taken = dict.fromkeys(taken if message == call.delivery else ())
        self._refused: Permanent | None = None

    def has(self, name: str) -> bool:
        """Say whether a part of this very message was taken already."""
        return short(name) in self._taken

    def take(self, name: str, memory: Memory | None = None) -> None:
        """Note that a part was taken, and what its target wants to be remembered."""
        self._taken[short(name)] = None
        self.memory.update(memory or {})

    def refuse(self, verdict: Permanent) -> None:
        """Note that a part was refused for good: so is the message, once all else is told."""
        self._refused = self._refused or verdict

    def late(self) -> Retry | None:
        """Return what to answer if no further call can be begun now."""
        if self._clock() - self._began <= STEP_SECONDS:
            return None
        return self.wait(Retry(Reason.DEADLINE, "there is more to send", 0.0))

    def wait(self, verdict: Retry) -> Retry:
        """Return a verdict that remembers what was taken."""
        return verdict._replace(memory=self._kept())

    def end(self, note: str = "") -> Sent | Permanent:
        """Return what became of the message when nothing is left to be tried."""
        if self._refused is not None:
            return self._refused._replace(memory=self._kept())
        return Sent(note, self.memory)

    def _kept(self) -> Memory | None:
        if not self._taken:
            return None
        return {**self.memory, PROGRESS: " ".join([self._delivery, *self._taken])}


def in_order(
    steps: Iterable[Step], call: Call, *, clock: Callable[[], float] = time.monotonic
) -> Verdict:
    """Make the calls that were not made yet, until one has to wait.

    One that is refused for good does not stop those after it, unless it is for who we are; the
    message counts as refused in any case.

    Args:
        steps: the calls; each id is unique among them.
        call: the attempt.
        clock: monotonic seconds.
    """
    progress = Progress(call, clock=clock)
    note = ""
    for step in steps:
        if progress.has(step.id):
            continue
        verdict = progress.late() or step.run(progress.memory)
        if isinstance(verdict, Retry):
            return progress.wait(verdict)
        if isinstance(verdict, Permanent):
            progress.refuse(verdict)
            if verdict.reason is Reason.AUTH_ERROR:
                break
            continue
        progress.take(step.id, verdict.memory)
        note = note or verdict.note
    return progress.end(note)


def short(text: str) -> str:
    """Return 12 hex digits that stand for a text; for ids that need not be read."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def untold(notification: Notification, memory: Memory) -> list[tuple[str, Notification]]:
    """Return each alert that fires and was not told before, as a message of its own with a name.

    For what only happens and never ends, such as a change.
    """
    told = memory.get(TOLD, "").split()
    named = ((short(f"{one.fingerprint}@{one.starts_at}"), one) for one in notification.firing)
    return [
        (name, replace(notification, alerts=(alert,), truncated=0))
        for name, alert in named
        if name not in told
    ]


def telling(name: str, memory: Memory) -> Memory:
    """Return what to remember once an alert of `untold` was told."""
    told = [*memory.get(TOLD, "").split(), name]
    return {TOLD: " ".join(told[-MAX_ALERTS:])}
