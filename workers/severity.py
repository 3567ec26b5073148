"""How much something matters."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How much an alert matters, highest first; the `severity` label."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
