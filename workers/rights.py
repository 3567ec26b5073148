"""What each role may do in Redis: the keys that it uses, and no command that administers.

The scripts name their keys in arguments, so Redis checks them call by call as a script runs: a
pattern that is missing here stops a script midway. `tests/system/test_redis_users.py` runs the
whole path with each role under its own user.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import reduce
from typing import Final, NamedTuple

from rq.defaults import RQ_KEY_PREFIX

from receiver.broker import EVENTS, EVENTS_BULK, NOTIFICATIONS, QUEUES, ROTATION


class Role(StrEnum):
    """Whom a Redis user is for."""

    RECEIVER = "receiver"
    EVENTS = EVENTS
    EVENTS_BULK = EVENTS_BULK
    NOTIFICATIONS = NOTIFICATIONS
    ROTATION = ROTATION
    TICK = "tick"
    """Every supervisor, and the tick that it starts."""

    WORKERS = "workers"
    """All that `python -m workers` runs, where one Deployment serves every queue."""

    OPERATOR = "operator"
    """A person with `synap-hooks`."""


class Rights(NamedTuple):
    """Key patterns below the service's prefix and below RQ's, by what may be done with them."""

    own: frozenset[str] = frozenset()
    own_read: frozenset[str] = frozenset()
    own_write: frozenset[str] = frozenset()
    rq: frozenset[str] = frozenset()
    rq_read: frozenset[str] = frozenset()
    rq_write: frozenset[str] = frozenset()

    def __or__(self, other: Rights) -> Rights:
        """Return what is in either."""
        return Rights(*(mine | theirs for mine, theirs in zip(self, other, strict=True)))

    def patterns(self, prefix: str) -> Iterator[str]:
        """Yield each pattern as a rule of an ACL; what is read and written needs no mark."""
        marks = ("~", "%R~", "%W~")
        for before, groups in ((prefix, self[:3]), (RQ_KEY_PREFIX, self[3:])):
            for mark, names in zip(marks, groups, strict=True):
                yield from (f"{mark}{before}:{name}" for name in sorted(names))


def keys(names: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(names.split())


JOBS_OF_EVENTS: Final = "batch- event- replay- release- rest- retry-"
JOBS_OF: Final[Mapping[str, str]] = {
    EVENTS: JOBS_OF_EVENTS,
    EVENTS_BULK: JOBS_OF_EVENTS,
    NOTIFICATIONS: "deliver- flush-",
    ROTATION: "rotation-",
}
"""How the ids of a queue's jobs begin."""

_CONNECT: Final = "+@connection -@dangerous +info +time"
_DATA: Final = (
    "+@connection +@read +@write +@transaction -@dangerous -scan -randomkey -dbsize "
    "+eval +evalsha +script|exists +script|load +config|get +info +time"
)
"""What reads and writes keys; nothing that lists or empties them all, or looks at other users."""

COMMANDS: Final[Mapping[Role, str]] = {
    **dict.fromkeys(Role, _DATA),
    Role.RECEIVER: f"{_CONNECT} +config|get +eval +evalsha +exists +get +hget +hincrby "
    "+hset +mget +mset +rpush +sadd +set +type +zadd +zcard +zrange",
}


def _jobs(queue: str) -> str:
    return " ".join(f"job:{kind}*" for kind in JOBS_OF[queue].split())


def _pushes(queue: str, jobs: str | None = None) -> Rights:
    return Rights(rq_write=keys(f"queues queue:{queue} {jobs or _jobs(queue)}"))


def _serves(queue: str) -> Rights:
    """Return what RQ's worker of a queue uses."""
    of_job = " ".join(
        f"{what}:{kind}*"
        for what in ("execution", "executions", "job", "job:", "results")
        for kind in JOBS_OF[queue].split()
    )
    registries = " ".join(
        f"{what}:{queue}"
        for what in (
            "canceled", "clean_registries", "deferred", "failed", "finished", "ready",
            "scheduled", "wip", "workers",
        )
    )  # fmt: skip
    return Rights(
        rq=keys(
            f"queue:{queue} queue:{queue}:intermediate* worker:{queue}-[0-9]* workers "
            f"{of_job} {registries}"
        ),
        rq_read=keys("rl-keys suspended"),
        rq_write=keys("queues"),
    )


_RAISES: Final = Rights(
    own=keys(
        "alerting:alerts:* alerting:called alerting:counters alerting:due alerting:group:* "
        "alerting:ends alerting:urgent"
    ),
    own_write=keys("alerting:source:*"),
) | _pushes(NOTIFICATIONS, "job:flush-*")
"""To bring an alert to its group."""

_BEGINS: Final = Rights(
    own=keys("rotation:credential:*"),
    own_write=keys(
        "rotation:active:* rotation:all rotation:due rotation:history:* rotation:incidents:* "
        "rotation:record:*"
    ),
)
"""To begin a rotation; what it is afterwards cannot be read."""

_EVENTS: Final = (
    Rights(
        own=keys(
            "alerting:burst:* body:* counters dead:* done event:* inflight:* retry running synap:*"
        ),
        own_write=keys("outcome:*"),
    )
    | _RAISES
    | _BEGINS
)
_TICK: Final = (
    reduce(Rights.__or__, map(_pushes, QUEUES))
    | _RAISES
    | _BEGINS
    | Rights(
        own=keys(
            "alerting:deliveries audit-cursor audit-missing counters dead:* done event:* "
            "inflight:* quarantine-held quarantine-told quarantine:* quarantined:* retry "
            "rotation:active:* rotation:all rotation:due rotation:ended rotation:history:* "
            "rotation:incidents:* rotation:record:* running synap:failing synap:failures:* "
            "synap:overdue synap:watched tick"
        ),
        own_read=keys("alerting:delivery:* keys"),
        rq_read=keys("queue:* worker:* workers:*"),
    )
)

_WORKERS: Final[Mapping[Role, Rights]] = {
    Role.EVENTS: _EVENTS | _serves(EVENTS),
    Role.EVENTS_BULK: _EVENTS | _serves(EVENTS_BULK),
    Role.NOTIFICATIONS: Rights(own=keys("alerting:*"))
    | _pushes(NOTIFICATIONS)
    | _serves(NOTIFICATIONS),
    Role.ROTATION: Rights(own=keys("rotation:* synap:pace:*"), own_read=keys("alerting:log:* keys"))
    | _RAISES
    | _serves(ROTATION),
    Role.TICK: _TICK,
}

RIGHTS: Final[Mapping[Role, Rights]] = {
    **_WORKERS,
    Role.RECEIVER: Rights(
        own=keys("counters event:* inflight:* quarantine-held quarantine:* quarantined:*"),
        own_write=keys("body:* keys"),
    )
    | _pushes(EVENTS, "job:batch-*")
    | _pushes(EVENTS_BULK, "job:batch-*"),
    Role.WORKERS: reduce(Rights.__or__, _WORKERS.values()),
    Role.OPERATOR: Rights(own=keys("*"), rq=keys("*")),
}


def user(role: Role, prefix: str) -> str:
    """Return the name of a role's user."""
    return f"{prefix}-{role}"


def password(role: Role, prefix: str, secret: bytes) -> str:
    """Return the password of a role's user: the same for the same secret, and telling no other."""
    digest = hmac.digest(secret, f"synap-hooks redis {user(role, prefix)}".encode(), "sha256")
    return urlsafe_b64encode(digest).decode().rstrip("=")


def rules(role: Role, prefix: str, secret: bytes) -> str:
    """Return a role's user as `ACL SETUSER` and an ACL file take it, its password as a digest."""
    digest = hashlib.sha256(password(role, prefix, secret).encode()).hexdigest()
    patterns = " ".join(RIGHTS[role].patterns(prefix))
    return f"{user(role, prefix)} reset on #{digest} {patterns} {COMMANDS[role]}"
