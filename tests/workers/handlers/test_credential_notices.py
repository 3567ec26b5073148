"""What `credential.expiring` hands to rotation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import INSTANCE
from tests.workers.handlers.events import decide
from workers.rotation.notice import Notice


def notices(**data: Any) -> tuple[Notice, ...]:
    """Return what the handler says of an event with these fields."""
    return decide("credential.expiring", data, instance_id=INSTANCE).notices


@pytest.mark.parametrize("kind", ["api_key", "webhook_secret"])
def test_what_can_be_rotated_is_handed_on(kind: str) -> None:
    """With what is known of it, and the incident that the rotation's end resolves."""
    [found] = notices(credential_type=kind, credential_id="key_1", label="prod", days_remaining=2)

    assert (found.type, found.credential_id, found.label) == (kind, "key_1", "prod")
    assert found.instance_id == INSTANCE
    assert found.expires_at == found.reported_at + 2 * 86_400
    assert found.incident["alertname"] == "SynapCredentialExpiring"
    assert "severity" not in found.incident


@pytest.mark.parametrize("kind", ["certificate", "bootstrap_key", "passphrase", None, 7])
def test_what_cannot_is_not(kind: object) -> None:
    """A certificate renews itself, a bootstrap key is used or revoked: those are alerts only."""
    assert notices(credential_type=kind, credential_id="key_1") == ()


def test_what_is_not_said_is_empty() -> None:
    """An event that says little matches only what asks for little."""
    [found] = notices(credential_type="api_key", credential_id=None, label=None, key_id=None)

    assert (found.credential_id, found.label) == ("", "")
