"""The error tree of the edge.

    HookError
    ├── SettingsError        the environment does not describe a service that can run
    ├── SignatureError       the request is not proven to come from Synap
    ├── EventError           authentic, but it cannot be processed: quarantine
    ├── NewerWireError       written by a newer release: a rolling update is under way
    ├── RequestError         refused before its content was looked at
    └── UnavailableError     nothing can be promised now; the sender shall try again

Every error carries a ``reason``: the metric label and the log key, one of a closed set.
"""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why a signature was refused."""

    MISSING = "signature_missing"
    MALFORMED = "signature_malformed"
    MISMATCH = "signature_mismatch"
    UNKNOWN_ENDPOINT = "endpoint_unknown"


class Flaw(StrEnum):
    """Why an authentic event cannot be processed and goes to quarantine."""

    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    NO_TYPE = "no_type"
    NO_ID = "no_id"
    NO_TIMESTAMP = "no_timestamp"
    STALE = "stale"
    FUTURE = "future"
    CONFLICT = "conflict"


class Shortage(StrEnum):
    """Why nothing can be promised now."""

    OVERLOADED = "overloaded"
    SHEDDING = "shedding"
    STOPPING = "stopping"
    REDIS_UNREACHABLE = "redis_unreachable"
    REDIS_REFUSED = "redis_refused"
    COMMIT_TIMEOUT = "commit_timeout"
    NOT_DURABLE = "not_durable"


class Offence(StrEnum):
    """Why a request was refused before its content was looked at."""

    BODY_TOO_LARGE = "body_too_large"
    BODY_TIMEOUT = "body_timeout"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    DISCONNECTED = "disconnected"


class HookError(Exception):
    """Anything this service refuses or cannot do; `reason` names it for logs and metrics."""

    reason: str = "error"


class SettingsError(HookError):
    """The environment does not describe a service that can run; lists every problem at once."""

    reason = "settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SignatureError(HookError):
    """The request is not proven to come from Synap."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason.value


class EventError(HookError):
    """An authentic body cannot be processed; it is kept in quarantine under `reason`."""

    def __init__(self, reason: Flaw) -> None:
        super().__init__(reason.value)
        self.reason = reason.value


class NewerWireError(HookError):
    """The stored event was written by a newer release than this one."""

    reason = "newer_wire_version"


class RequestError(HookError):
    """The request was refused before its content was looked at."""

    def __init__(self, reason: Offence) -> None:
        super().__init__(reason.value)
        self.reason = reason.value


class UnavailableError(HookError):
    """Nothing can be promised now; the sender keeps the event and tries again."""

    def __init__(self, reason: Shortage) -> None:
        super().__init__(reason.value)
        self.reason = reason.value
