"""The doorways through which RQ's workers come in: decode, call, nothing more.

These names stand in Redis, written by processes of other releases: they are a contract.
"""

from __future__ import annotations

from rq import get_current_job

from workers import wiring


def process_events(keys: list[str]) -> None:
    """Process a batch of events, given by their safe keys."""
    app = wiring.current()
    job = get_current_job()
    assert job is not None
    app.processor.run(job.id, job.origin, keys)


def flush_groups(group_ids: list[str]) -> None:
    """Notify for the alert groups that are due."""
    app = wiring.current()
    app.dispatcher.flush(group_ids, app.clock())


def advance_rotation(rotation_id: str) -> None:
    """Carry a rotation on that is due."""
    wiring.current().rotations.machine.advance(rotation_id)


def deliver(delivery_ids: list[str]) -> None:
    """Attempt the deliveries that are due once more."""
    app = wiring.current()
    app.dispatcher.deliver(delivery_ids, app.clock())
