"""What is sent to Synap's API; all names and values are the documented ones."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

Required = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True)]


class Decision(StrEnum):
    """What a reviewer decided."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_CHANGES = "request_changes"


class Mode(StrEnum):
    """How a configuration takes the place of another."""

    IMMEDIATE = "immediate"
    GRACEFUL = "graceful"
    CANARY = "canary"


class Status(StrEnum):
    """Where a configuration stands in its life."""

    PENDING_REVIEW = "pending_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    CHANGES_REQUESTED = "changes_requested"
    ACTIVE = "active"
    SUPERSEDED = "superseded"


OUTCOME_OF = {
    Decision.APPROVE: Status.APPROVED,
    Decision.REJECT: Status.REJECTED,
    Decision.REQUEST_CHANGES: Status.CHANGES_REQUESTED,
}
"""The status that each decision leads to."""


class Request(BaseModel):
    """The base of all request bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_wire(self) -> Mapping[str, Any]:
        """Return the JSON object; fields that are not given are left out."""
        return self.model_dump(mode="json", exclude_none=True)


class Init(Request):
    """Generate the first configuration of an instance."""

    client_id: Required
    triggered_by_user_id: Required


class Update(Request):
    """Submit a full or partial configuration; nulls within it are sent as they are."""

    client_id: Required
    triggered_by_user_id: Required
    reason: Required
    config: Mapping[str, Any]

    def to_wire(self) -> Mapping[str, Any]:
        """Return the JSON object; a null within the configuration means something."""
        return self.model_dump(mode="json")


class Apply(Request):
    """Make an approved configuration the active one."""

    applied_by: Required
    mode: Mode = Mode.GRACEFUL


class Rollback(Request):
    """Make a configuration active again that was active before."""

    applied_by: Required
    reason: Required | None = None


class Review(Request):
    """Record a decision on a configuration."""

    decision: Decision
    reviewed_by: Required
    notes: str | None = None
    conflict_resolutions: Mapping[str, Any] | None = None
