"""Every metric of the workers, declared once.

    WorkerMetrics        moved by worker and tick processes (prometheus_client's multiprocess mode)
    SupervisorMetrics    moved by the supervisor about its children
    GAUGES, COUNTERS     read from Redis when scraped, so that they are true whoever moved them

Labels come from closed sets of our own, never from a sender's strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram

from receiver.broker import QUEUES
from receiver.event import KINDS

PREFIX: Final = "synap_hooks"

TICK: Final = "tick"
"""The role of the process that looks for what is due; a label beside the queues."""

_HANDLER_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 20, 30)
_ROTATION_BUCKETS: Final = (1, 10, 60, 300, 1_800, 7_200, 43_200, 172_800, 604_800)
_JOB_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)


class Outcome(StrEnum):
    """How an attempt at one event ended."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead"
    OVERTAKEN = "overtaken"


class Delivery(StrEnum):
    """How an attempt at one notification ended: sent, held back, or why it failed.

    The names of failures are those of `workers.outbound.Reason`.
    """

    SENT = "sent"
    FOLDED = "folded"
    SUPPRESSED = "suppressed"
    CLIENT_ERROR = "clientError"
    AUTH_ERROR = "authError"
    RATE_LIMITED = "rateLimited"
    SERVER_ERROR = "serverError"
    CANCELED = "contextCanceled"
    DEADLINE = "contextDeadlineExceeded"
    TOO_LARGE = "payloadTooLarge"
    OTHER = "other"


class Reload(StrEnum):
    """What became of a changed configuration."""

    LOADED = "loaded"
    REFUSED = "refused"


class RefusedJob(StrEnum):
    """Why a worker refused a job that it found on its queue."""

    FUNCTION = "function"
    INSTANCE = "instance"
    CALLBACK = "callback"
    WEBHOOK = "webhook"
    DEPENDENCY = "dependency"
    REPEAT = "repeat"
    GROUP = "group"
    RATE_LIMIT = "rate_limit"
    MALFORMED = "malformed"


TARGETS: Final = (
    "alertmanager",
    "apprise",
    "cloudwatch",
    "datadog",
    "email",
    "eventbridge",
    "log",
    "msteams",
    "opsgenie",
    "pagerduty",
    "slack",
    "sns",
    "webhook",
)
API_OPERATIONS: Final = (
    "init", "update", "review", "apply", "rollback", "active", "config", "versions", "detail",
    "history", "whoami",
)  # fmt: skip
API_OUTCOMES: Final = (
    "ok", "unreachable", "timed_out", "rate_limited", "server_error", "budget", "invalid_input",
    "unauthenticated", "credits", "forbidden", "not_found", "conflict", "already_active",
    "unreadable", "not_configured",
)  # fmt: skip
"""`ok`, and the names of failures, which are those of `workers.synap.errors.Reason`."""

RETENTION: Final = ("deleted", "scanned", "runs")
JOB_FUNCTIONS: Final = ("process_events", "flush_groups", "deliver", "advance_rotation")
TICK_SOURCES: Final = (
    "lease",
    "retries",
    "alerting",
    "config",
    "rotation",
    "sweep",
    "audit",
    "housekeeping",
    "schedule",
    "failures",
    "retention",
)
ROTATION_STATES: Final = (
    "planned", "locked", "intent", "minting", "awaiting_key", "minted", "preverified",
    "stored_pending", "promoted", "restarting", "rolled_out", "verified", "overlap", "revoke_gate",
    "revoking", "revoked", "confirmed", "done", "paused", "rolling_back", "rolled_back",
    "compensating", "aborted", "revoke_failed", "orphan", "break_glass",
)  # fmt: skip
"""The names of `workers.rotation.state.State`, which stands above the metrics."""

ROLES: Final = (*QUEUES, TICK)


class WorkerMetrics:
    """What worker and tick processes count; every known label set starts at zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.handler_seconds = Histogram(
            f"{PREFIX}_handler_seconds",
            "Time that one event's handler took, by type.",
            ["type"],
            registry=registry,
            buckets=_HANDLER_BUCKETS,
        )
        self.handled = Counter(
            f"{PREFIX}_handled",
            "Attempts at events, by type and outcome (done, retry, dead, overtaken).",
            ["type", "outcome"],
            registry=registry,
        )
        self.notifications = Counter(
            f"{PREFIX}_notifications",
            "Attempts at notifications, by target and reason (sent, or why not).",
            ["target", "reason"],
            registry=registry,
        )
        self.jobs_refused = Counter(
            f"{PREFIX}_jobs_refused",
            "Jobs refused because something undeclared was in them, by what it was.",
            ["reason"],
            registry=registry,
        )
        self.job_seconds = Histogram(
            f"{PREFIX}_job_seconds",
            "Time that one job took, by function.",
            ["function"],
            registry=registry,
            buckets=_JOB_BUCKETS,
        )
        self.jobs_failed = Counter(
            f"{PREFIX}_jobs_failed",
            "Jobs that raised, by function.",
            ["function"],
            registry=registry,
        )
        self.rotation_steps = Histogram(
            f"{PREFIX}_rotation_step_duration_seconds",
            "Time that a rotation spent in one state, waiting included, by state.",
            ["state"],
            registry=registry,
            buckets=_ROTATION_BUCKETS,
        )
        self.api_calls = Counter(
            f"{PREFIX}_api_calls",
            "Attempts at calls of Synap's API, by operation and outcome (ok, or why not).",
            ["operation", "outcome"],
            registry=registry,
        )
        self.tick_errors = Counter(
            f"{PREFIX}_tick_errors",
            "Failures of what the tick runs, by source.",
            ["source"],
            registry=registry,
        )
        self.config_reloads = Counter(
            f"{PREFIX}_config_reloads",
            "Changes of the YAML file that a process saw, by result (loaded, or refused and kept).",
            ["result"],
            registry=registry,
        )
        self._initialise()

    def _initialise(self) -> None:
        closed: tuple[tuple[Counter | Histogram, tuple[Iterable[str], ...]], ...] = (
            (self.handler_seconds, (KINDS,)),
            (self.handled, (KINDS, Outcome)),
            (self.notifications, (TARGETS, Delivery)),
            (self.config_reloads, (Reload,)),
            (self.jobs_refused, (RefusedJob,)),
            (self.job_seconds, (JOB_FUNCTIONS,)),
            (self.jobs_failed, (JOB_FUNCTIONS,)),
            (self.rotation_steps, (ROTATION_STATES,)),
            (self.api_calls, (API_OPERATIONS, API_OUTCOMES)),
            (self.tick_errors, (TICK_SOURCES,)),
        )
        for metric, sets in closed:
            for labels in product(*sets):
                metric.labels(*labels)


class SupervisorMetrics:
    """What the supervisor counts about its children; every role starts at zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.restarts = Counter(
            f"{PREFIX}_worker_restarts",
            "Processes started again after they ended unasked, by queue (or tick).",
            ["queue"],
            registry=registry,
        )
        for role in ROLES:
            self.restarts.labels(role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What Redis holds at one moment; absent names count as zero.

    `queue_depth` is by queue, `held` by endpoint, `quarantined` by reason, all else by kind;
    `oldest_age` is in seconds.
    """

    queue_depth: Mapping[str, int] = field(default_factory=dict)
    oldest_age: Mapping[str, float] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    accepted: Mapping[str, int] = field(default_factory=dict)
    done: Mapping[str, int] = field(default_factory=dict)
    discarded: Mapping[str, int] = field(default_factory=dict)
    released: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    unaccounted: Mapping[str, int] = field(default_factory=dict)
    retention: Mapping[str, int] = field(default_factory=dict)


class FromRedis(NamedTuple):
    """A metric that is read from Redis when scraped; `attribute` names it in `Snapshot`."""

    name: str
    attribute: str
    label: str
    documentation: str


GAUGES: Final = (
    FromRedis(
        f"{PREFIX}_in_flight", "in_flight", "type", "Events accepted and not settled yet, by type."
    ),
    FromRedis(f"{PREFIX}_dead", "dead", "type", "Dead letters kept, by type."),
    FromRedis(
        f"{PREFIX}_oldest_age_seconds",
        "oldest_age",
        "type",
        "Age of the oldest event that is not settled, by type; 0 when there is none.",
    ),
    FromRedis(
        f"{PREFIX}_unaccounted",
        "unaccounted",
        "type",
        "Accepted + released - done - dead - discarded - in flight, by type: 0, or some are lost.",
    ),
    FromRedis(f"{PREFIX}_queue_depth", "queue_depth", "queue", "Jobs waiting, by queue."),
    FromRedis(
        f"{PREFIX}_quarantine_held", "held", "endpoint", "Bodies kept in quarantine, by endpoint."
    ),
)
COUNTERS: Final = (
    FromRedis(f"{PREFIX}_ledger_accepted", "accepted", "type", "Events accepted, by type."),
    FromRedis(
        f"{PREFIX}_ledger_released", "released", "type", "Events released from quarantine, by type."
    ),
    FromRedis(f"{PREFIX}_ledger_done", "done", "type", "Events settled, by type."),
    FromRedis(
        f"{PREFIX}_ledger_discarded", "discarded", "type", "Dead letters discarded, by type."
    ),
    FromRedis(
        f"{PREFIX}_ledger_quarantined",
        "quarantined",
        "reason",
        "Authentic bodies that could not be processed, by reason.",
    ),
    FromRedis(
        f"{PREFIX}_retention",
        "retention",
        "count",
        "What retention runs reported: memories deleted, memories scanned, and runs.",
    ),
)


class Gauge(NamedTuple):
    """A gauge with labels of its own, read when it is scraped."""

    name: str
    documentation: str
    labels: tuple[str, ...]


ROTATION_GAUGES: Final = (
    Gauge(
        f"{PREFIX}_rotation_state",
        "1 for the state of the rotation under way, by credential and state.",
        ("credential", "state"),
    ),
    Gauge(
        f"{PREFIX}_rotation_overlap_remaining_seconds",
        "Time until the old key may be revoked, by credential; 0 when there is no overlap.",
        ("credential",),
    ),
    Gauge(
        f"{PREFIX}_credential_expiry_timestamp_seconds",
        "When the credential expires (Unix seconds), by credential; 0 when that is not known.",
        ("credential",),
    ),
    Gauge(
        f"{PREFIX}_rotation_old_key_in_use",
        "1 while applications have the new key and the old one still lives, by credential.",
        ("credential",),
    ),
)
REDIS_UP: Final = FromRedis(f"{PREFIX}_redis_up", "", "", "1 if Redis answered when scraped.")


def declared() -> dict[str, str]:
    """Return every metric of the workers with its meaning, named as it is exposed."""
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    SupervisorMetrics(registry)
    found = {
        metric.name + ("_total" if metric.type == "counter" else ""): metric.documentation
        for metric in registry.collect()
    }
    found |= {metric.name: metric.documentation for metric in (*GAUGES, *ROTATION_GAUGES, REDIS_UP)}
    found |= {f"{metric.name}_total": metric.documentation for metric in COUNTERS}
    return found
