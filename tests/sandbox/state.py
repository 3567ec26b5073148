"""Instances and the life cycle of their configurations.

init, update -> pending_review -> review -> approved -> apply -> active -> superseded
                                         -> rejected
                                         -> changes_requested (stays in review)
rollback: superseded -> active; the one that was active is superseded
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.sandbox.errors import Refused, conflict, invalid, not_found
from tests.sandbox.schema import SECTIONS, changes, default, merged

DECISIONS = {"approve": "approved", "reject": "rejected", "request_changes": "changes_requested"}
IN_REVIEW = ("pending_review", "changes_requested")
MODES = ("immediate", "graceful", "canary")

Applied = Callable[["Instance", "Version", "Version | None", str, str], None]


def iso(moment: float) -> str:
    """Write Unix seconds as the API does."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class Version:
    """One version of a configuration."""

    config_id: str
    version: int
    config: dict[str, Any]
    triggered_by: str
    reason: str
    created_at: float
    status: str = "pending_review"
    reviewed_by: str | None = None
    notes: list[str] = field(default_factory=list)
    applied_at: float | None = None
    applied_by: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return the row of the list of versions."""
        return {
            "config_id": self.config_id,
            "version": self.version,
            "status": self.status,
            "triggered_by": self.triggered_by,
            "reason": self.reason,
            "reviewed_by": self.reviewed_by,
            "created_at": iso(self.created_at),
            "applied_at": None if self.applied_at is None else iso(self.applied_at),
        }

    def whole(self) -> dict[str, Any]:
        """Return the full configuration object."""
        return {
            "config_id": self.config_id,
            "version": self.version,
            "status": self.status,
            **self.config,
            "applied_at": None if self.applied_at is None else iso(self.applied_at),
            "applied_by": self.applied_by,
        }


class Instance:
    """One instance with all its versions, newest last; `applied` hears of every change.

    `operations` lists what was carried out: (operation, config_id), in order.
    """

    def __init__(
        self, instance_id: str, client_id: str, clock: Callable[[], float], applied: Applied
    ) -> None:
        self.id, self.client_id = instance_id, client_id
        self.versions: list[Version] = []
        self.operations: list[tuple[str, str]] = []
        self.credits = True
        self._clock, self._applied = clock, applied

    @property
    def active(self) -> Version | None:
        """The version that is active, if any."""
        return next((version for version in self.versions if version.status == "active"), None)

    def find(self, config_id: str) -> Version:
        """Return a version by its id.

        Raises:
            Refused: there is none.
        """
        for version in self.versions:
            if version.config_id == config_id:
                return version
        raise not_found(f"configuration {config_id}")

    def init(self, body: Mapping[str, Any]) -> tuple[Version, list[dict[str, str]], str]:
        """Generate the first version. Assumed: an instance that has one answers a conflict."""
        self._authorized(body)
        if self.versions:
            newest = self.versions[-1]
            raise conflict(newest.config_id, newest.status, "initialize over")
        version = self._add(default(self.id), body, "Initial configuration")
        text = (
            "Memory architecture initialized with default configuration for agent type "
            "'chatbot'. Review required before activation."
        )
        flags = [
            _flag(
                "storage.vector.embedding_dimension", "Default embedding dimension (1536).", "info"
            ),
            _flag("retrieval.context_budget", "Default context budget set to 4096 tokens.", "info"),
        ]
        return version, flags, text

    def update(self, body: Mapping[str, Any]) -> tuple[Version, list[dict[str, str]], str]:
        """Submit a full or partial update of the active version, else of the newest one."""
        self._authorized(body)
        reason, update = _text(body, "reason"), body.get("config")
        if not isinstance(update, Mapping) or not update:
            raise invalid("config must be an object", "config")
        for section in SECTIONS:
            if not isinstance(update.get(section, {}), Mapping):
                raise invalid(f"config.{section} must be an object", f"config.{section}")
        if not self.versions:
            raise not_found("a configuration to update")
        base = self.active or self.versions[-1]
        config = merged(base.config, update)
        version = self._add(config, body, reason)
        flags = [
            _flag(c["field"], f"{c['field']} changed from {c['old']} to {c['new']}.", "warning")
            for c in changes(base.config, config)
        ]
        return version, flags, "Configuration update submitted. Review required before activation."

    def review(self, config_id: str, body: Mapping[str, Any]) -> Version:
        """Record a decision on a version that is in review."""
        decision, reviewer = _text(body, "decision"), _text(body, "reviewed_by")
        if decision not in DECISIONS:
            raise invalid(f"decision must be one of {', '.join(DECISIONS)}", "decision")
        version = self.find(config_id)
        if version.status not in IN_REVIEW:
            raise conflict(config_id, version.status, "review")
        version.status, version.reviewed_by = DECISIONS[decision], reviewer
        version.notes += [str(body["notes"])] if body.get("notes") else []
        self.operations.append((f"review:{decision}", config_id))
        return version

    def apply(self, config_id: str, body: Mapping[str, Any]) -> tuple[Version, Version | None]:
        """Make an approved version the active one; return it and the one before."""
        by, mode = _text(body, "applied_by"), body.get("mode") or "graceful"
        if mode not in MODES:
            raise invalid(f"mode must be one of {', '.join(MODES)}", "mode")
        version = self.find(config_id)
        if version.status != "approved":
            raise conflict(config_id, version.status, "apply")
        return version, self._activate("apply", version, by, mode, version.reason)

    def rollback(self, config_id: str, body: Mapping[str, Any]) -> tuple[Version, Version | None]:
        """Make a superseded version the active one again; return it and the one before."""
        by = _text(body, "applied_by")
        version = self.find(config_id)
        if version.status != "superseded":
            raise conflict(config_id, version.status, "roll back to")
        reason = str(body.get("reason") or f"Rollback to {config_id}")
        return version, self._activate("rollback", version, by, "graceful", reason)

    def page(self, number: int, size: int) -> tuple[Sequence[Version], int]:
        """Return one page of the versions, newest first, and how many there are."""
        newest = self.versions[::-1]
        return newest[(number - 1) * size : number * size], len(newest)

    def _activate(
        self, operation: str, version: Version, by: str, mode: str, reason: str
    ) -> Version | None:
        before = self.active
        if before is not None:
            before.status = "superseded"
        version.status = "active"
        version.applied_at, version.applied_by = self._clock(), by
        self.operations.append((operation, version.config_id))
        self._applied(self, version, before, mode, reason)
        return before

    def _add(self, config: dict[str, Any], body: Mapping[str, Any], reason: str) -> Version:
        number = len(self.versions) + 1
        by = str(body["triggered_by_user_id"])
        config_id = f"maca_cfg_{secrets.token_hex(4)}"
        self.versions.append(Version(config_id, number, config, by, reason, self._clock()))
        return self.versions[-1]

    def _authorized(self, body: Mapping[str, Any]) -> None:
        _text(body, "triggered_by_user_id")
        if _text(body, "client_id") != self.client_id:
            raise Refused(403, "FORBIDDEN", "this client does not own the instance")


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not found.strip():
        raise invalid(f"{name} is required", name)
    return found


def _flag(field_: str, reason: str, severity: str) -> dict[str, str]:
    return {"field": field_, "reason": reason, "severity": severity}
