"""`config.applied`: another memory configuration is active on the instance.

Information: a change that on-call wants to see beside the trouble that it may explain. It ends
by itself after an hour, so that nothing stays open that nobody has to close, and the same
version applied again tomorrow is news again.
"""

from __future__ import annotations

from typing import Final

from receiver.event import Event
from workers.handlers.decision import (
    INFORMATION_SECONDS,
    Context,
    Decision,
    Finding,
    Severity,
    firing,
    identity,
)
from workers.handlers.fields import UNKNOWN, Fields, utc

ALERTNAME: Final = "SynapConfigApplied"


def decide(event: Event, context: Context) -> Decision:
    """Tell of the change, once for each pair of configurations."""
    fields = Fields(event.data)
    finding = Finding(
        name=ALERTNAME,
        severity=Severity.INFO,
        labels={
            "config_id": fields.text("config_id"),
            "previous_config_id": _previous(fields),
            "mode": fields.text("mode", limit=64),
        },
        summary=f"Configuration {_versioned(fields)} is active on {identity(event)}",
        description=_description(fields),
        ends_at=context.now + INFORMATION_SECONDS,
        details=_details(fields),
    )
    return Decision((firing(event, finding, now=context.now),), "change told, information")


def _previous(fields: Fields) -> str:
    return fields.text("previous_config_id", "rollback_config_id")


def _versioned(fields: Fields) -> str:
    version = fields.text("version", limit=64)
    named = fields.text("config_id")
    return named if version == UNKNOWN else f"{named} (version {version})"


def _description(fields: Fields) -> str:
    applied = fields.time("applied_at")
    when = f" at {utc(applied)}" if applied is not None else ""
    return (
        f"Applied by {fields.text('applied_by')}{when}, mode {fields.text('mode')}, reason: "
        f"{fields.text('reason', limit=200)}. "
        "Why it matters: what is stored, found and kept changes from now on, and trouble that "
        "begins within the hour may come from it. "
        "What to do: nothing if the change was planned; else roll back to configuration "
        f"{_previous(fields)} in the Synap Dashboard and tell who applied it."
    )


def _details(fields: Fields) -> dict[str, str]:
    names = ("config_id", "version", "applied_by", "mode", "reason")
    return {
        **{name: fields.text(name) for name in names},
        "previous_config_id": _previous(fields),
    }
