"""What the API answers when it refuses: a status, a stable code, a text that may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):  # noqa: N818 - an answer, not a failure of the sandbox
    """One refusal; `headers` are sent with it."""

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.text = status, code, text
        self.details, self.headers = dict(details or {}), dict(headers or {})


def invalid(text: str, field: str) -> Refused:
    """Return the refusal of a request that has to be mended."""
    return Refused(400, "INVALID_INPUT", text, details={"field": field})


def not_found(what: str) -> Refused:
    """Return the refusal of something that is not there."""
    return Refused(404, "NOT_FOUND", f"{what} not found")


def conflict(config_id: str, status: str, operation: str) -> Refused:
    """Return the refusal of an operation that a configuration's status does not allow."""
    code = "CONFIG_ALREADY_ACTIVE" if status == "active" else "CONFIG_CONFLICT"
    return Refused(
        409,
        code,
        f"cannot {operation} {config_id}: its status is {status}",
        details={"config_id": config_id, "status": status},
    )
