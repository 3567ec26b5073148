"""Parsed events for the handlers' tests, dated `NOW` unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from receiver.event import Event, parse
from tests.build import NOW, iso
from workers.handlers import HANDLERS, Context, Decision, Policy

CONTEXT = Context(now=NOW, deadline=NOW + 20)


def event_of(
    event_type: str, data: Mapping[str, Any] | None = None, *, at: float = NOW, **envelope: Any
) -> Event:
    """Return an event with exactly these data and the least envelope, dated `at`."""
    body = {"event_id": "evt_1", "event_type": event_type, "timestamp": iso(at), "data": data or {}}
    raw = orjson.dumps(body | envelope)
    return parse(raw, endpoint="default", received_at=NOW)


def decide(event_type: str, data: Mapping[str, Any] | None = None, **envelope: Any) -> Decision:
    """Return what the handler of a type decides at `NOW`."""
    event = event_of(event_type, data, **envelope)
    return HANDLERS[event.kind](event, CONTEXT)


def decide_by(policy: Policy, event_type: str, data: Mapping[str, Any] | None = None) -> Decision:
    """Return what the handler of a type decides at `NOW` under another policy."""
    event = event_of(event_type, data)
    return HANDLERS[event.kind](event, Context(now=NOW, deadline=NOW + 20, policy=policy))
