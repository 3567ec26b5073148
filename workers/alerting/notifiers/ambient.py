"""What stands in where a receiver's configuration names nothing of its own."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import SecretStr

from workers.section import Secret


class Ambient(NamedTuple):
    """The environment's secrets and the `global` section's defaults."""

    routing_key: SecretStr | None = None
    slack_url: SecretStr | None = None
    pagerduty_url: str = ""
    slack_api_url: Secret | None = None
