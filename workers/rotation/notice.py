"""What an event says of a credential that runs out, and whose it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

API_KEY: Final = "api_key"
WEBHOOK_SECRET: Final = "webhook_secret"  # noqa: S105 - a type's name
ROTATED_TYPES: Final = (API_KEY, WEBHOOK_SECRET)


class Notice(NamedTuple):
    """That a credential is expiring; times are Unix seconds, `expires_at` 0 is unknown.

    `incident` holds the labels of the alert that was raised for it, without its severity: the end
    of the rotation resolves it.
    """

    type: str
    credential_id: str
    label: str
    instance_id: str
    client_id: str
    endpoint: str
    reported_at: float
    expires_at: float
    incident: Mapping[str, str]


class Match(NamedTuple):
    """Which credential of Synap's a configured one is; what is empty matches anything."""

    credential_id: str = ""
    label: str = ""
    instance_id: str = ""
    endpoint: str = ""

    def fits(self, notice: Notice) -> bool:
        """Say whether a notice speaks of this credential."""
        asked = ((wanted, getattr(notice, name)) for name, wanted in self._asdict().items())
        return all(wanted in ("", found) for wanted, found in asked)
