"""How an event is shown: a row, a page of facts, a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from workers.cli import output
from workers.cli.output import iso, stamp
from workers.cli.selection import endpoint_of, since
from workers.ledger.listing import EventRow

SHORT_KEY: Final = 12
HEAD: Final = (
    "SINCE", "STATE", "TYPE", "EVENT ID", "ENDPOINT", "INSTANCE", "TRIES", "REASON", "KEY",
)  # fmt: skip


def listed(rows: Sequence[EventRow], *, more: bool, now: float, as_json: bool) -> None:
    """Print a listing of events."""
    if as_json:
        output.document({"events": [shape(row) for row in rows], "more": more})
        return
    if not rows:
        click.echo("no events")
        return
    output.table(HEAD, [_cells(row, now) for row in rows])
    if more:
        click.echo(f"... and more than these {len(rows)}: raise --limit or narrow the filter")


def shown(row: EventRow, body: bytes | None, *, now: float, as_json: bool) -> None:
    """Print one event; with a `body` also that."""
    if as_json:
        text = {} if body is None else {"body": body.decode()}
        output.document({"event": shape(row) | text})
        return
    output.facts(_facts(row, now))
    if body is not None:
        click.echo()
        click.echo(output.payload(body))


def shape(row: EventRow) -> dict[str, Any]:
    """Return the documented JSON form of an event; what is not known is null."""
    event = row.event
    return {
        "key": row.key,
        "id": event.id if event else None,
        "type": event.type if event else None,
        "kind": row.kind,
        "state": row.state,
        "endpoint": event.endpoint if event else None,
        "instance_id": event.instance_id if event else None,
        "client_id": event.client_id if event else None,
        "correlation_id": event.correlation_id if event else None,
        "timestamp": iso(event.timestamp) if event else None,
        "received_at": iso(event.received_at if event else row.received_at),
        "since": iso(since(row)),
        "attempts": row.attempts,
        "reason": row.reason or None,
        "next_at": iso(row.next_at),
        "leased_until": iso(row.leased_until),
        "signing_key": row.label or None,
        "job": row.job or None,
    }


def _cells(row: EventRow, now: float) -> tuple[str, ...]:
    event = row.event
    return (
        stamp(since(row), now),
        row.state,
        event.type if event else row.kind,
        event.id if event else "",
        endpoint_of(row),
        (event.instance_id or "") if event else "",
        str(row.attempts),
        row.reason,
        row.key[:SHORT_KEY],
    )


def _facts(row: EventRow, now: float) -> dict[str, str]:
    moments = {"timestamp", "received_at", "since", "next_at", "leased_until"}
    pairs = {name: value for name, value in shape(row).items() if name not in moments}
    event = row.event
    times = {
        "timestamp": event.timestamp if event else None,
        "received_at": event.received_at if event else row.received_at,
        "since": since(row),
        "next_at": row.next_at,
        "leased_until": row.leased_until,
    }
    return {
        **{name: "" if value is None else str(value) for name, value in pairs.items()},
        **{name: stamp(moment, now) for name, moment in times.items()},
    }
