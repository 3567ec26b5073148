"""The `events` section: how much each kind of event matters, as tables that a team may change.

Every process reads it wholly; what is not written down is as in `Policy()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from types import MappingProxyType
from typing import Final, TypeAlias

from receiver.event import CREDENTIAL_EXPIRING, INGESTION_FAILED, RETENTION_CLEANUP
from workers.section import Section, parse_duration
from workers.severity import Severity

DAY: Final = 86_400.0

Steps: TypeAlias = tuple[tuple[float, Severity], ...]
"""Up to how many seconds left a severity holds, shortest first; beyond them it is information."""


class Cause(StrEnum):
    """What kind of trouble an error code stands for; the `cause` label."""

    AUTHENTICATION = "authentication"
    CREDITS = "credits"
    PERMANENT = "permanent"
    TRANSIENT = "transient"
    UNCLEAR = "unclear"


STEPS: Final[Steps] = (
    (1 * DAY, Severity.CRITICAL),
    (3 * DAY, Severity.HIGH),
    (7 * DAY, Severity.MEDIUM),
    (14 * DAY, Severity.LOW),
)

OWN_STEPS: Final[Mapping[str, Steps]] = MappingProxyType(
    {
        # The SDK renews a certificate by itself: one that is expiring is never merely early.
        "certificate": STEPS[:3],
        # It lives for a day by design, so that a day left is nothing to wake anybody for.
        "bootstrap_key": ((float("inf"), Severity.LOW),),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How an expiry climbs; `own` holds the types of credential that climb another way."""

    steps: Steps = STEPS
    own: Mapping[str, Steps] = field(default_factory=lambda: OWN_STEPS)

    def severity_of(self, credential_type: str, left: float) -> Severity:
        """Return how much it matters that a credential ends in `left` seconds."""
        steps = self.own.get(credential_type, self.steps)
        return next((level for within, level in steps if left <= within), Severity.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingestion:
    """How failures matter: one by its cause, many at once as a burst.

    A burst is `burst` failures on one instance within `window` seconds; where it is known how many
    `documents` are usually ingested in that time, it is the checklist's `burst_share` of them.
    Either ends `quiet` seconds after the last one.
    """

    severities: Mapping[Cause, Severity] = field(
        default_factory=lambda: {
            Cause.AUTHENTICATION: Severity.CRITICAL,
            Cause.CREDITS: Severity.HIGH,
            Cause.PERMANENT: Severity.MEDIUM,
            Cause.TRANSIENT: Severity.LOW,
            Cause.UNCLEAR: Severity.MEDIUM,
        }
    )
    burst: int = 20
    documents: int | None = None
    burst_share: float = 0.01
    window: float = 300.0
    burst_severity: Severity = Severity.CRITICAL
    quiet: float = 900.0

    @property
    def threshold(self) -> int:
        """How many failures make a burst."""
        if self.documents is None:
            return self.burst
        return max(1, ceil(self.burst_share * self.documents))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What a run may delete before it is more than information; None: any number.

    `most_times` is how many times the usual number (the median of the last runs) it may delete, if
    that is at least `least_memories`. A run is overdue after `overdue_times` the usual interval.
    """

    most_share: float | None = 0.25
    most_memories: int | None = None
    most_times: int = 5
    least_memories: int = 100
    exceeded: Severity = Severity.HIGH
    overdue_times: int = 2
    overdue: Severity = Severity.MEDIUM
    differs: Severity = Severity.MEDIUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much each kind of event matters."""

    credentials: Credentials = field(default_factory=Credentials)
    ingestion: Ingestion = field(default_factory=Ingestion)
    retention: Retention = field(default_factory=Retention)


def read(section: Section) -> Policy:
    """Read the section; problems are noted in its findings."""
    policy = Policy(
        credentials=_credentials(_inner(section, CREDENTIAL_EXPIRING)),
        ingestion=_ingestion(_inner(section, INGESTION_FAILED)),
        retention=_retention(_inner(section, RETENTION_CLEANUP)),
    )
    section.close()
    return policy


def _inner(section: Section, name: str) -> Section:
    return section.section(name) or Section(None, name, section.findings)


def _credentials(section: Section) -> Credentials:
    standard = Credentials()
    own = dict(standard.own)
    types = section.section("types")
    for name in types.names() if types else ():
        inner = types.section(name) if types else None
        if inner is not None:
            own[name] = _steps(inner)
    written = section.section("severities")
    section.close()
    return Credentials(steps=_steps(written) if written else standard.steps, own=own)


def _steps(section: Section) -> Steps:
    """Read a table of time left to severity: `{14d: low, 7d: medium}`."""
    steps = []
    for name in section.names():
        left = parse_duration(name)
        if left is None:
            section.problem(f'not a valid duration string: "{name}"', name)
        steps.append((left or 0.0, _severity(section, name, Severity.INFO)))
    return tuple(sorted(steps, key=lambda step: step[0]))


def _ingestion(section: Section) -> Ingestion:
    standard = Ingestion()
    table = section.section("severities")
    severities = dict(standard.severities)
    for name in table.names() if table else ():
        if table and name in set(Cause):
            severities[Cause(name)] = _severity(table, name, Severity.INFO)
    if table:
        table.close()
    window, quiet = section.duration("burst_window"), section.duration("quiet")
    found = Ingestion(
        severities=severities,
        burst=section.integer("burst", standard.burst, least=1),
        documents=section.integer("documents", 1, least=1) if section.has("documents") else None,
        burst_share=_share(section, "burst_share", standard.burst_share) or 0.0,
        window=standard.window if window is None else window,
        burst_severity=_severity(section, "burst_severity", standard.burst_severity),
        quiet=standard.quiet if quiet is None else quiet,
    )
    for name, seconds in (("burst_window", found.window), ("quiet", found.quiet)):
        if seconds <= 0:
            section.problem(f"{name} cannot be zero", name)
    section.close()
    return found


def _retention(section: Section) -> Retention:
    standard = Retention()
    found = Retention(
        most_share=_share(section, "most_share", standard.most_share),
        most_memories=(
            section.integer("most_memories", 0) if section.has("most_memories") else None
        ),
        most_times=section.integer("most_times", standard.most_times, least=1),
        least_memories=section.integer("least_memories", standard.least_memories),
        exceeded=_severity(section, "exceeded", standard.exceeded),
        overdue_times=section.integer("overdue_times", standard.overdue_times, least=1),
        overdue=_severity(section, "overdue", standard.overdue),
        differs=_severity(section, "differs", standard.differs),
    )
    section.close()
    return found


def _share(section: Section, name: str, default: float | None) -> float | None:
    """Read a share, written as whole percents."""
    share = section.text(name)
    percent = share.removesuffix("%")
    if not share:
        return default
    if percent.isascii() and percent.isdigit() and share.endswith("%"):
        return int(percent) / 100
    section.problem(f'not a percentage: "{share}", write 25%', name)
    return default


def _severity(section: Section, name: str, default: Severity) -> Severity:
    return Severity(section.choice(name, default.value, tuple(level.value for level in Severity)))
