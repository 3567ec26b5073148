"""What each event means for on-call: one file for each type, and `unknown` for all others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from receiver.event import (
    CONFIG_APPLIED,
    CREDENTIAL_EXPIRING,
    INGESTION_FAILED,
    RETENTION_CLEANUP,
    UNKNOWN,
)
from workers.handlers import (
    config_applied,
    credential_expiring,
    ingestion_failed,
    retention_cleanup,
    unknown,
)
from workers.handlers.decision import Burst, Context, Decision, Handler, Note
from workers.handlers.lookups import Lookups
from workers.handlers.policy import Policy
from workers.severity import Severity

__all__ = [
    "HANDLERS",
    "Burst",
    "Context",
    "Decision",
    "Handler",
    "Lookups",
    "Note",
    "Policy",
    "Severity",
]

HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        INGESTION_FAILED: ingestion_failed.decide,
        CREDENTIAL_EXPIRING: credential_expiring.decide,
        CONFIG_APPLIED: config_applied.decide,
        RETENTION_CLEANUP: retention_cleanup.decide,
        UNKNOWN: unknown.decide,
    }
)
"""The handler of each kind of event; the keys are exactly `receiver.event.KINDS`."""
