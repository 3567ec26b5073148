"""One call of Synap's API: signed with the key, paced, limited in time, tried again where it helps.

What may be repeated is. What could do harm when it is done twice is looked up first, once it is
in doubt whether it was taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import uniform
from typing import Any, Final, NamedTuple, TypeVar
from uuid import uuid4

import orjson

from workers.outbound import Limits, Outbound, OutboundError, retry_after
from workers.synap.errors import ApiError, BudgetError, NotConfiguredError, TransientError
from workers.synap.pace import Pace, name_of
from workers.synap.reply import CORRELATION, RATE_LIMITED, Reply, opened, unanswered

ANSWER_BYTES: Final = 4 * 1024 * 1024

LEAST_SECONDS: Final = 0.2
"""A call that has less time than this is not begun."""

UNBOUND: Final = 120.0
"""Seconds for a call, its repeats included, where the caller has no deadline."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How calls are made; seconds. The defaults are those that Synap documents."""

    attempts: int = 3
    backoff_base: float = 1.0
    backoff_cap: float = 10.0
    connect: float = 5.0
    read: float = 30.0
    write: float = 10.0


class Wanted(NamedTuple):
    """One request; `operation` names it for metrics, `instance_id` says whose key to use."""

    operation: str
    instance_id: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None


Note = Callable[[str, ApiError | None], None]
"""Hears of each attempt: the operation, and the error that it came to, None for a good answer."""


class Transport:
    """Makes calls; safe to share between threads.

    Args:
        outbound: the way out.
        url: the API's base URL.
        key_of: the API key for an instance, None if there is none; asked for each call. Raises
            NotConfiguredError where there should be one.
        pace: the allowance of all processes.
        policy: attempts and time-outs, as they hold now.
        note: hears of each attempt.
        clock: Unix seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        outbound: Outbound,
        *,
        url: str,
        key_of: Callable[[str], str | None],
        pace: Pace,
        policy: Callable[[], Policy],
        note: Note = lambda _operation, _error: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._outbound = outbound
        self._url = url.rstrip("/")
        self._key_of = key_of
        self._pace = pace
        self._policy = policy
        self._note = note
        self._clock = clock
        self._sleep = sleep

    def configured(self, instance_id: str) -> bool:
        """Say whether there should be a key to call with for an instance."""
        try:
            return bool(self._key_of(instance_id))
        except NotConfiguredError:  # there should; a call will say what is wrong with it
            return True

    def call(
        self,
        wanted: Wanted,
        *,
        read: Callable[[Reply], T],
        deadline: float | None = None,
        taken: Callable[[float], T | None] | None = None,
    ) -> T:
        """Make a call and read its answer, trying again where that can help.

        Args:
            wanted: the request.
            read: reads the good answer.
            deadline: Unix seconds by which all attempts are over.
            taken: says what became of the request once that is in doubt; None if it was not taken.
                Without it the request may be repeated as it is.

        Raises:
            ApiError: it did not come to a good answer.
        """
        until = self._clock() + UNBOUND if deadline is None else deadline
        doubt = False
        attempt = 0
        while True:
            attempt += 1
            try:
                return read(self._send(wanted, until))
            except ApiError as error:
                doubt = doubt or error.ambiguous
                final = not isinstance(error, TransientError) or attempt >= self._policy().attempts
                in_doubt = taken is not None and doubt
                if final and not in_doubt:
                    raise
                self._pause(attempt, error, until)
                found = self._look(taken, error, until) if taken and doubt else None
                if found is not None:
                    return found
                if final:
                    raise

    def _look(self, taken: Callable[[float], T | None], error: ApiError, until: float) -> T | None:
        """Ask what became of a request; where nobody can say, it is not repeated."""
        try:
            return taken(until)
        except ApiError as blind:
            error.args = (f"{error.args[0]}; whether it was carried out is unknown ({blind.code})",)
            raise error from blind

    def _pause(self, attempt: int, error: ApiError, until: float) -> None:
        """Wait before the next attempt; raise what failed when there is no time for another."""
        asked = error.retry_after if isinstance(error, TransientError) else None
        policy = self._policy()
        plain = min(policy.backoff_cap, policy.backoff_base * 2.0 ** (attempt - 1))
        wait = uniform(plain / 2, plain) if asked is None else asked  # noqa: S311 - not a secret
        if self._clock() + wait + LEAST_SECONDS > until:
            raise error
        self._sleep(wait)

    def _send(self, wanted: Wanted, until: float) -> Reply:
        """Make one attempt."""
        correlation = f"corr_{uuid4().hex}"
        try:
            key = self._key_of(wanted.instance_id)
            if not key:
                raise NotConfiguredError("no API key of Synap is set: SYNAP_API_KEY")
            self._await_turn(name_of(key), until)
            reply = self._attempt(wanted, key, correlation, until)
        except ApiError as error:
            # Reading changes nothing, whether it was answered or not.
            error.ambiguous = error.ambiguous and wanted.method != "GET"
            self._note(wanted.operation, error)
            raise
        self._note(wanted.operation, None)
        return reply

    def _await_turn(self, name: str, until: float) -> None:
        while wait := self._pace.take(name):
            if self._clock() + wait + LEAST_SECONDS > until:
                raise BudgetError("this client's own rate limit leaves no call in time")
            self._sleep(wait)

    def _attempt(self, wanted: Wanted, key: str, correlation: str, until: float) -> Reply:
        headers = {
            "accept": "application/json",
            "authorization": f"Bearer {key}",
            CORRELATION: correlation,
        }
        body = None if wanted.body is None else orjson.dumps(wanted.body)
        if body is not None:
            headers["content-type"] = "application/json"
        url = self._url + wanted.path
        try:
            answer = self._outbound.call(
                wanted.method, url, body, headers, limits=self._limits(until)
            )
        except OutboundError as error:
            raise unanswered(error, correlation) from None
        if answer.status == RATE_LIMITED:
            asked = retry_after(answer.headers, self._clock())
            self._pace.rest(name_of(key), min(asked or 0.0, UNBOUND))
        return opened(answer, correlation, self._clock())

    def _limits(self, until: float) -> Limits:
        """Return limits of which the sum fits into what is left."""
        left = until - self._clock()
        if left < LEAST_SECONDS:
            raise BudgetError("no time is left for a call")
        policy = self._policy()
        return Limits(
            connect=min(policy.connect, left / 4),
            read=min(policy.read, left / 2),
            write=min(policy.write, left / 4),
            answer_bytes=ANSWER_BYTES,
        )
