"""The event envelope: what of Synap's body is read, how it is stored, what identifies it.

Only `event_id` and `timestamp` are documented by the sender; every other name read here is an
assumption, and this module is the one place where it is made. Unknown fields are kept.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from receiver.errors import EventError, Flaw, NewerWireError

WIRE_VERSION: Final = 1
MAX_ID_CHARS: Final = 512
MAX_NAME_CHARS: Final = 128

INGESTION_FAILED: Final = "ingestion.failed"
CREDENTIAL_EXPIRING: Final = "credential.expiring"
CONFIG_APPLIED: Final = "config.applied"
RETENTION_CLEANUP: Final = "retention.cleanup"
UNKNOWN: Final = "unknown"

KNOWN_TYPES: Final = (INGESTION_FAILED, CREDENTIAL_EXPIRING, CONFIG_APPLIED, RETENTION_CLEANUP)
KINDS: Final = (*KNOWN_TYPES, UNKNOWN)
"""The closed set of labels under which events are counted: the known types and `unknown`."""

DEFAULT_ENDPOINT: Final = "default"

_KNOWN: Final = frozenset(KNOWN_TYPES)


class Event(NamedTuple):
    """One event of the sender, parsed.

    `timestamp` and `received_at` are Unix seconds (UTC). `data` holds the event's own fields:
    the body's `data` object, else the whole body.
    """

    id: str
    type: str
    timestamp: float
    endpoint: str
    received_at: float
    instance_id: str | None
    client_id: str | None
    correlation_id: str | None
    data: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The type under which the event is counted and routed to a handler."""
        return kind_of(self.type)

    @property
    def key(self) -> str:
        """The safe key of the event's identity."""
        return _remembered_key(self.endpoint, self.id)


def kind_of(event_type: str) -> str:
    """Return the counted kind of a type: itself if known, else `unknown`."""
    return event_type if event_type in _KNOWN else UNKNOWN


def safe_key(endpoint: str, event_id: str) -> str:
    """Return the 64 hex digits that stand for (endpoint, id) in Redis, jobs and logs.

    Both parts enter with their lengths, so that no two identities share a key.
    """
    name, ident = endpoint.encode(), event_id.encode()
    framed = b"%d:%b%d:%b" % (len(name), name, len(ident), ident)
    return hashlib.sha256(framed).hexdigest()


@lru_cache(maxsize=64)
def _remembered_key(endpoint: str, event_id: str) -> str:
    """Return the safe key; one event is asked for it several times in a row."""
    return safe_key(endpoint, event_id)


def body_digest(raw: bytes) -> str:
    """Return the base64 SHA-256 by which two bodies are told apart."""
    return b2a_base64(hashlib.sha256(raw).digest(), newline=False).decode()


def parse(raw: bytes, *, endpoint: str, received_at: float) -> Event:
    """Read one body, tolerant of every field that the sender does not document.

    Args:
        raw: the verified body, exactly as received.
        endpoint: the name of the endpoint that received it.
        received_at: Unix seconds.

    Raises:
        EventError: not JSON, no object, or no usable type, id or timestamp.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise EventError(Flaw.NOT_JSON) from None
    return _read(body, endpoint, received_at)


@lru_cache(maxsize=16)
def moment(seconds: float) -> str:
    """Return Unix seconds as everything that is stored has them: to the millisecond."""
    return f"{seconds:.3f}"


def to_wire(raw: bytes, *, endpoint: str, received_at: str) -> bytes:
    """Return the stored form: a versioned JSON object that holds the body verbatim.

    Args:
        raw: a body that `parse` accepted, hence valid JSON.
        endpoint: the name of the endpoint that received it.
        received_at: from `moment`.
    """
    return b"%b%b}" % (_wire_head(endpoint, received_at), raw)


@lru_cache(maxsize=16)
def _wire_head(endpoint: str, received_at: str) -> bytes:
    head = f'{{"v":{WIRE_VERSION},"endpoint":{quoted(endpoint)},"received_at":{received_at},"body":'
    return head.encode()


@lru_cache(maxsize=1024)
def quoted(name: str) -> str:
    """Return a name of ours (an endpoint, a label) as a JSON string."""
    return orjson.dumps(name).decode()


def from_wire(wire: bytes) -> Event:
    """Read the stored form again, re-validating it.

    Raises:
        NewerWireError: written by a newer release.
        EventError: the body is not one that `parse` accepts.
    """
    stored = orjson.loads(wire)
    if stored.get("v", 0) > WIRE_VERSION:
        raise NewerWireError
    return _read(stored["body"], stored["endpoint"], stored["received_at"])


def _read(body: Any, endpoint: str, received_at: float) -> Event:
    """Read a parsed body."""
    if type(body) is not dict:
        raise EventError(Flaw.NOT_OBJECT)
    event_type = body.get("event_type") or body.get("type") or body.get("event")
    if type(event_type) is not str or len(event_type) > MAX_NAME_CHARS:
        raise EventError(Flaw.NO_TYPE)
    data = body.get("data")
    if type(data) is not dict:
        data = body
    return Event(
        _identifier(body),
        event_type,
        _timestamp(body),
        endpoint,
        received_at,
        _name(body, data, "instance_id"),
        _name(body, data, "client_id"),
        _name(body, data, "correlation_id"),
        data,
    )


def _identifier(body: dict[str, Any]) -> str:
    ident = body.get("event_id") or body.get("id")
    if type(ident) is int:
        ident = str(ident)
    if type(ident) is not str or len(ident) > MAX_ID_CHARS:
        raise EventError(Flaw.NO_ID)
    return ident


def _timestamp(body: dict[str, Any]) -> float:
    text = body.get("timestamp") or body.get("created_at")
    if type(text) is not str:
        raise EventError(Flaw.NO_TIMESTAMP)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EventError(Flaw.NO_TIMESTAMP) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def _name(body: Mapping[str, Any], data: Mapping[str, Any], field: str) -> str | None:
    found = body.get(field) or data.get(field)
    return found[:MAX_NAME_CHARS] if type(found) is str else None
