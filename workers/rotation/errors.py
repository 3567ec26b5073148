"""What can go wrong in a rotation.

    RotationError
    ├── PortError                a store, an issuer or a rollout did not do what was asked
    │   ├── TransientError       the same call may succeed later
    │   ├── PermanentError       it will not until somebody changes something
    │   ├── RefusedError         it could be done, but must not: something else owns the place
    │   └── ThirdWriterError     the place holds a value that this rotation knows nothing of
    ├── OvertakenError           another worker has taken the rotation over; nothing was written
    └── OrderError               what a person asked for cannot be done now

Each carries a `reason` of the closed set `Reason`, and a message that never holds a secret.
"""

from __future__ import annotations

from enum import StrEnum

from receiver.errors import HookError


class Reason(StrEnum):
    """Why something did not go on: the metric label, the log key, the word in the history."""

    # of ports
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CONFLICT = "conflict"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    MANAGED_ELSEWHERE = "managed_elsewhere"
    IMMUTABLE = "immutable"
    THIRD_WRITER = "third_writer"
    UNFAITHFUL = "unfaithful"
    """What is read back is not what was written."""
    UNSYNCED = "unsynced"
    """A copy that something else makes of the store does not hold the key yet."""

    # of keys
    WRONG_SHAPE = "wrong_shape"
    SAME_KEY = "same_key"
    OTHER_IDENTITY = "other_identity"
    IDENTITY_UNPROVEN = "identity_unproven"
    NEW_KEY_DEAD = "new_key_dead"
    OLD_KEY_DEAD = "old_key_dead"
    FORBIDDEN = "forbidden"
    KEY_LOST = "key_lost"
    ANOTHER_KEY_WAITS = "another_key_waits"
    FLAPPING = "flapping"

    # of rollouts
    ROLLOUT_FAILED = "rollout_failed"
    ROLLOUT_HELD = "rollout_held"
    ROLLOUT_UNKNOWN = "rollout_unknown"
    UNATTESTED = "unattested"
    """An application does not show that it uses the new key."""

    # of time
    NO_KEY_IN_TIME = "no_key_in_time"
    NOT_REVOKED_IN_TIME = "not_revoked_in_time"
    PATIENCE_SPENT = "patience_spent"
    CLOCK_SKEW = "clock_skew"
    FROZEN = "frozen"
    INCIDENT = "incident"
    """Something else is critical at the instance: no moment to take a key away."""

    # of people and configuration
    ASKED = "asked"
    APPROVAL = "approval"
    BUSY = "busy"
    NOT_NOW = "not_now"
    NOT_CONFIGURED = "not_configured"
    OVERTAKEN = "overtaken"
    WORKER_LOST = "worker_lost"
    """Worker after worker died at the same step."""
    BUG = "bug"
    """A step raised what no port may raise; the log says where."""


class RotationError(HookError):
    """Anything that keeps a rotation from going on."""

    reason: str = Reason.INVALID

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason


class PortError(RotationError):
    """A store, an issuer or a rollout did not do what was asked."""


class TransientError(PortError):
    """The same call may succeed later; `after` is how many seconds were asked for, if any."""

    def __init__(self, reason: Reason, message: str = "", *, after: float | None = None) -> None:
        super().__init__(reason, message)
        self.after = after


class PermanentError(PortError):
    """The call will not succeed until somebody changes something."""


class RefusedError(PortError):
    """It could be done, but must not: something else owns the place."""


class ThirdWriterError(PortError):
    """The place holds a value that is neither the old nor the new one: somebody else wrote it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(Reason.THIRD_WRITER, message)


class OvertakenError(RotationError):
    """Another worker has taken the rotation over; nothing was written."""

    def __init__(self) -> None:
        super().__init__(Reason.OVERTAKEN)


class OrderError(RotationError):
    """What a person asked for cannot be done now; the message says why and what to do."""
