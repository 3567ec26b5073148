"""What a handler is: a pure decision from an event to the alerts that on-call may need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from receiver.event import Event
from workers.alert import Alert
from workers.handlers.fields import LABEL_CHARS, UNKNOWN, clean
from workers.handlers.lookups import Alone, Lookups
from workers.handlers.policy import Policy
from workers.rotation.notice import Notice
from workers.severity import Severity

RUNBOOK: Final = "README.md#"
"""Where runbooks stand: the README has one section for each alert name."""

ASKING_SHARE: Final = 0.9
INFORMATION_SECONDS: Final = 3600.0
"""How long an alert that only informs stays up before it ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a handler may know beside the event; times are Unix seconds.

    After `deadline` the handler decides with what it has. `policy` is the configuration's, `synap`
    answers what the event itself does not say.
    """

    now: float
    deadline: float
    policy: Policy = field(default_factory=Policy)
    synap: Lookups = field(default_factory=Alone)

    @property
    def ask_until(self) -> float:
        """When asking ends: a tenth of the time is for deciding and writing."""
        return self.now + ASKING_SHARE * (self.deadline - self.now)


class Burst(NamedTuple):
    """Alerts for which one event is not enough: they go out if it is the `least`th of its kind.

    The kind is `of`; counted are events received within `window` seconds, each once however
    often it is processed, and in the same write that settles it. `alerts` makes them: a storm
    asks for that once a second, not for each of its events.
    """

    of: str
    event_key: str
    received_at: float
    window: float
    least: int
    alerts: Callable[[], tuple[Alert, ...]]


class Note(NamedTuple):
    """Something to remember in the same write that settles the event.

    `name` is that of an effect of the ledger's scripts. `alerts` go out if the note is taken: one
    that a later event has overtaken is not.
    """

    name: str
    args: tuple[str | bytes | int | float, ...]
    alerts: tuple[Alert, ...] | None = None


class Decision(NamedTuple):
    """What was decided: alerts to hand on, and one line that says so without payload values.

    `burst` is handed on only if many such events came. `notices` say which credentials expire.
    """

    alerts: tuple[Alert, ...]
    summary: str
    burst: Burst | None = None
    notes: tuple[Note, ...] = ()
    notices: tuple[Notice, ...] = ()


Handler: TypeAlias = Callable[[Event, Context], Decision]


class Finding(NamedTuple):
    """What a handler found out, before it becomes alerts.

    `labels` must be the same for the same trouble. `ends_at` (Unix seconds) is assumed, not
    reported: unless the trouble is reported again, the alert is over then. `details` become
    annotations; those that are unknown are left out.
    """

    name: str
    severity: Severity
    labels: dict[str, str]
    summary: str
    description: str
    ends_at: float
    details: dict[str, str]


def firing(event: Event, finding: Finding, *, now: float) -> Alert:
    """Return the alert that says what was found; `now` is Unix seconds."""
    reported = min(event.timestamp, now)
    return Alert(
        labels=_labels(event, finding, finding.severity),
        annotations=_annotations(event, finding),
        starts_at=reported,
        updated_at=reported,
        ends_at=finding.ends_at,
        timeout=True,
    )


def superseded(event: Event, finding: Finding, severity: Severity, *, now: float) -> Alert:
    """Return the end of the same alert at another severity; `now` is Unix seconds.

    Severity is a label and so part of an alert's identity: a step up or down opens a new alert
    and has to close the one that it replaces.
    """
    reported = min(event.timestamp, now)
    return Alert(
        labels=_labels(event, finding, severity),
        annotations=_annotations(event, finding),
        starts_at=reported,
        updated_at=reported,
        ends_at=reported,
    )


def identity(event: Event) -> str:
    """Return the instance that an event speaks of, fit for a label."""
    return clean(event.instance_id or "", LABEL_CHARS) or UNKNOWN


def _labels(event: Event, finding: Finding, severity: Severity) -> dict[str, str]:
    return {
        "alertname": finding.name,
        "severity": severity.value,
        "event_type": event.kind,
        "instance_id": identity(event),
        "endpoint": clean(event.endpoint, LABEL_CHARS),
        **finding.labels,
    }


def _annotations(event: Event, finding: Finding) -> dict[str, str]:
    details = {
        "client_id": clean(event.client_id or "", LABEL_CHARS),
        **finding.details,
    }
    return {
        "summary": finding.summary,
        "description": finding.description,
        "runbook": RUNBOOK + finding.name.lower(),
        "event_id": clean(event.id, LABEL_CHARS),
        "correlation_id": clean(event.correlation_id or "", LABEL_CHARS) or UNKNOWN,
        "inspect": f"synap-hooks events show {event.key}",
        **{name: value for name, value in details.items() if value not in ("", UNKNOWN)},
    }
