"""API keys: several live ones for an instance, each with a label, each revocable alone."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import NamedTuple

from tests.sandbox.errors import Refused

PREFIX = "synap_"
_LETTERS = string.ascii_letters + string.digits


class Plan(NamedTuple):
    """How often one key may call: so many at once, refilled evenly over a minute."""

    per_minute: int
    burst: int


FREE = Plan(60, 10)
PRO = Plan(600, 50)
UNLIMITED = Plan(1_000_000_000, 1_000_000)


class Key:
    """One API key; `secret` is shown once, `label` for ever."""

    def __init__(self, instance_id: str, client_id: str, label: str, plan: Plan) -> None:
        self.id = f"key_{secrets.token_hex(8)}"
        self.secret = PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(60))
        self.instance_id, self.client_id, self.label = instance_id, client_id, label
        self.plan = plan
        self.revoked = False
        self.used = 0
        self._tokens, self._filled_at = float(plan.burst), 0.0

    def spend(self, now: float) -> float:
        """Take one call from the allowance; return seconds to wait, 0 when it is granted."""
        rate = self.plan.per_minute / 60
        self._tokens = min(self.plan.burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return 0.0


class Keys:
    """Every key that was ever issued, by its secret."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keys: dict[str, Key] = {}

    def issue(self, instance_id: str, client_id: str, label: str, plan: Plan) -> Key:
        """Issue one more key for an instance."""
        key = Key(instance_id, client_id, label, plan)
        key._filled_at = self._clock()
        self._keys[key.secret] = key
        return key

    def revoke(self, secret: str) -> None:
        """Revoke a key, at once and for good."""
        self._keys[secret].revoked = True

    def find(self, secret: str) -> Key:
        """Return a key by its secret, live or not."""
        return self._keys[secret]

    def authenticate(self, authorization: str | None) -> Key:
        """Return the live key of a request and count the call.

        Raises:
            Refused: no bearer token, an unknown or revoked key, or too many calls.
        """
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.startswith(PREFIX):
            raise Refused(401, "UNAUTHORIZED", "a bearer token is required")
        key = self._keys.get(secret)
        if key is None or key.revoked:
            raise Refused(401, "CREDENTIAL_INVALID", "the key was rotated or revoked")
        wait = key.spend(self._clock())
        if wait:
            seconds = str(max(1, round(wait + 0.5)))
            raise Refused(
                429,
                "RATE_LIMITED",
                f"over {key.plan.per_minute} calls a minute",
                details={"retry_after_seconds": int(seconds)},
                headers={"retry-after": seconds},
            )
        key.used += 1
        return key
