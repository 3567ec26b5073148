"""What Synap does to deliver an event: signed, at least once, roughly in order, for 14 h 36 min.

Six attempts, at ages 0, 1 m, 6 m, 36 m, 2 h 36 m and 14 h 36 m of a virtual clock. After the last
one an event is marked failed; a person can send it again from the Dashboard for 30 days.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from receiver.signature import HEADER, SigningKey, sign
from tests.sandbox.clock import VirtualClock

AGES = (0.0, 60.0, 360.0, 2_160.0, 9_360.0, 52_560.0)
PATIENCE = 30.0
RESENDABLE_SECONDS = 30 * 86_400.0

Post = Callable[[bytes, str], int]
"""Delivers a body with its signature; returns the status, 0 when there was none."""


@dataclass(slots=True)
class Delivery:
    """One event on its way; `statuses` holds what each attempt was answered, 0 for nothing."""

    event_id: str
    body: bytes
    created_at: float
    statuses: list[int] = field(default_factory=list)
    state: str = "pending"

    @property
    def next_at(self) -> float:
        """When the next attempt is due."""
        return self.created_at + AGES[len(self.statuses)]


class Sender:
    """Delivers events to one endpoint; nothing moves but by `send`, `advance` and `resend`."""

    def __init__(self, post: Post, secret: str, clock: VirtualClock) -> None:
        self._post, self._key = post, SigningKey("synap", secret.encode())
        self._clock = clock
        self.deliveries: dict[str, Delivery] = {}

    def send(self, event: dict[str, Any]) -> Delivery:
        """Deliver an event; what is not taken is tried again as the clock moves."""
        delivery = Delivery(event["event_id"], orjson.dumps(event), self._clock())
        self.deliveries[delivery.event_id] = delivery
        self._attempt(delivery)
        return delivery

    def send_disordered(self, events: Iterable[dict[str, Any]]) -> None:
        """Deliver events in the reverse of their order: only their timestamps tell it."""
        for event in reversed(list(events)):
            self.send(event)

    def advance(self, seconds: float) -> None:
        """Let time pass, making every attempt at the moment at which it is due."""
        until = self._clock() + seconds
        while due := self._due(until):
            first = min(due, key=lambda delivery: delivery.next_at)
            self._clock.advance(max(0.0, first.next_at - self._clock()))
            self._attempt(first)
        self._clock.advance(until - self._clock())

    def duplicate(self, event_id: str) -> int:
        """Deliver an event once more though it was taken; return what it was answered."""
        delivery = self.deliveries[event_id]
        return self._post(delivery.body, sign(delivery.body, self._key))

    def resend(self, event_id: str) -> int:
        """Send a failed event as a person does from the Dashboard; return what it was answered.

        Raises:
            LookupError: it is no failed event of the last 30 days.
        """
        delivery = self.deliveries[event_id]
        if delivery.state != "failed" or self._age(delivery) > RESENDABLE_SECONDS:
            raise LookupError(f"{event_id} cannot be sent again: {delivery.state}")
        status = self.duplicate(event_id)
        if 200 <= status < 300:
            delivery.state = "delivered"
        return status

    def _attempt(self, delivery: Delivery) -> None:
        status = self._post(delivery.body, sign(delivery.body, self._key))
        delivery.statuses.append(status)
        if 200 <= status < 300:
            delivery.state = "delivered"
        elif len(delivery.statuses) == len(AGES):
            delivery.state = "failed"

    def _due(self, until: float) -> list[Delivery]:
        waiting = [d for d in self.deliveries.values() if d.state == "pending"]
        return [delivery for delivery in waiting if delivery.next_at <= until]

    def _age(self, delivery: Delivery) -> float:
        return self._clock() - delivery.created_at


def http_post(url: str) -> Post:
    """Return a way to deliver to a URL over HTTP, within the sender's 30 s."""

    def post(body: bytes, signature: str) -> int:
        headers = {"content-type": "application/json", HEADER.decode(): signature}
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    return post
