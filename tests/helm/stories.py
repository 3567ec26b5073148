"""What the alert rules are to do: series as time passes, and the alerts that stand at a moment.

Values are promtool's: `0+2x30` begins at 0 and gains 2 in each of 30 minutes.
"""

from __future__ import annotations

from typing import Final

from tests.helm.story import RELEASE, Story, answered, fires, lost, of

HEALTHY: Final = {
    answered("202", "accepted"): "0+60x120",
    answered("401", "signature_mismatch"): "0+1x120",
    answered("503", "commit_timeout"): "0x60 1x60",
    of("durability", level="fsync"): "1x120",
    of("durability", level="unproven"): "0x120",
    of("shedding"): "0x120",
    of("key_reload_failures_total"): "0x120",
    of("oldest_age_seconds", type="ingestion.failed"): "30x120",
    of("unaccounted", type="ingestion.failed"): "0x120",
    of("dead", type="ingestion.failed"): "0x120",
    of("ledger_quarantined_total", reason="not_json"): "4x120",
    of("ledger_quarantined_total", reason="conflict"): "0+1x120",
    of("notifications_total", target="slack", reason="sent"): "0+9x120",
    of("notifications_total", target="slack", reason="serverError"): "0+1x120",
    of("notifications_total", target="slack", reason="suppressed"): "0+90x120",
    of("queue_depth", queue="rotation"): "0 1 0 1 0x116",
    of("redis_up"): "1x120",
    of("worker_restarts_total", queue="events"): "0x60 1x60",
    of("jobs_refused_total", reason="function"): "0x120",
    of("jobs_failed_total", function="advance_rotation"): "0x120",
    of("tick_errors_total", source="rotation"): "0x60 1x60",
    of("rotation_state", credential="production", state="restarting"): "0x30 1x30 0x60",
    of("rotation_state", credential="production", state="overlap"): "0x60 1x60",
    of("rotation_state", credential="production", state="revoking"): "1x30 0x90",
    of("credential_expiry_timestamp_seconds", credential="production"): "864000x120",
    of("credential_expiry_timestamp_seconds", credential="staging"): "0x120",
    of("config_reloads_total", result="refused"): "0x120",
    of("config_reloads_total", result="loaded"): "0+1x120",
    of("requests_verified_total", endpoint="default", key="2026-05"): "7x120",
    of("requests_verified_total", endpoint="default", key="2026-11"): "0+60x120",
    of("api_calls_total", operation="config", outcome="ok"): "0+60x120",
    of("api_calls_total", operation="config", outcome="unauthenticated"): "0x120",
    of("api_calls_total", operation="config", outcome="rate_limited"): "0x60 1x60",
    of("api_calls_total", operation="config", outcome="timed_out"): "0x120",
}
ALL: Final = (
    "SynapHooksEventsWillBeLost", "SynapHooksRefusing", "SynapHooksSignatureFailures",
    "SynapHooksNothingAccepted", "SynapHooksReceiverMissing", "SynapHooksNotDurable",
    "SynapHooksShedding", "SynapHooksKeysNotReloaded", "SynapHooksOldestEventTooOld",
    "SynapHooksUnaccounted", "SynapHooksDeadLetters", "SynapHooksQuarantineGrows",
    "SynapHooksNotificationsFail", "SynapHooksRotationStuck", "SynapHooksRedisAway",
    "SynapHooksWorkersMissing", "SynapHooksWorkersDie", "SynapHooksJobRefused",
    "SynapHooksRotationOverdue", "SynapHooksOldKeyLives",
    "SynapHooksConfigRefused", "SynapHooksRetiredKeyInUse", "SynapApiErrors",
    "SynapApiAuthenticationFailed", "SynapApiRateLimited",
)  # fmt: skip

OUTAGE: Final = Story(
    "everything is refused from minute 31 to minute 90",
    {
        answered("202", "accepted"): "0+10x30 300x60 300+10x60",
        answered("503", "redis_unreachable"): "0x30 10+10x59 600x60",
    },
    (
        ("30m", "SynapHooksEventsWillBeLost", {}),
        (
            "45m",
            "SynapHooksEventsWillBeLost",
            lost("15:05:30", "14h 20m 30s"),
        ),
        (
            "45m",
            "SynapHooksRefusing",
            {
                "reason": "redis_unreachable",
                "summary": "100% of deliveries are answered 503: redis_unreachable",
            },
        ),
        ("100m", "SynapHooksEventsWillBeLost", {}),
        ("100m", "SynapHooksRefusing", {}),
    ),
)
GAP: Final = Story(
    "the sender's next attempt takes longer than the window: the first refusal is remembered",
    {
        answered("202", "accepted"): "0+10x10 100x200",
        answered("503", "redis_refused"): "0x10 10 20 20x40 30 30x150",
    },
    (
        (
            "2h",
            "SynapHooksEventsWillBeLost",
            lost("14:45:30", "12h 45m 30s"),
        ),
    ),
)
STORIES: Final = (
    Story("all is well", HEALTHY, tuple(("2h", name, {}) for name in ALL)),
    OUTAGE,
    GAP,
    Story(
        "half of the deliveries are signed with another secret",
        {
            answered("202", "accepted"): "0+5x30",
            answered("401", "signature_mismatch"): "0+5x30",
        },
        (
            (
                "20m",
                "SynapHooksSignatureFailures",
                {
                    "reason": "signature_mismatch",
                    "summary": "50% of deliveries fail verification: signature_mismatch",
                },
            ),
        ),
    ),
    Story(
        "after a day of events there is none for three hours",
        {answered("202", "accepted"): "0+1x1560 1560x200"},
        (
            ("20h", "SynapHooksNothingAccepted", {}),
            (
                "29h",
                "SynapHooksNothingAccepted",
                {
                    "summary": "Nothing was accepted for 2 h, "
                    "and the day before there was more than two an hour"
                },
            ),
        ),
        every="10m",
    ),
    Story(
        "nothing is scraped",
        {of("other"): "1x30"},
        (
            ("10m", "SynapHooksReceiverMissing", RELEASE | {"summary": "No receiver is scraped"}),
            ("10m", "SynapHooksWorkersMissing", RELEASE | {"summary": "No worker is scraped"}),
        ),
    ),
    fires(
        "SynapHooksNotDurable",
        "durability",
        "1x30",
        'What is acknowledged is "unproven", less than was asked for',
        level="unproven",
    ),
    fires("SynapHooksShedding", "shedding", "1x30", "New events are refused to save old ones"),
    fires(
        "SynapHooksKeysNotReloaded",
        "key_reload_failures_total",
        "0x5 1x30",
        "The signing keys cannot be read anew; the last good ones stay in use",
    ),
    fires(
        "SynapHooksOldestEventTooOld",
        "oldest_age_seconds",
        "700x30",
        "A ingestion.failed event waits for 11m 40s",
        type="ingestion.failed",
    ),
    fires(
        "SynapHooksUnaccounted",
        "unaccounted",
        "-1x30",
        "1 accepted unknown events are not accounted for",
        type="unknown",
    ),
    fires(
        "SynapHooksDeadLetters",
        "dead",
        "2x30",
        "2 unknown events were given up and wait for a decision",
        type="unknown",
    ),
    fires(
        "SynapHooksQuarantineGrows",
        "ledger_quarantined_total",
        "0x5 3x30",
        "Authentic events go to quarantine: not_json",
        reason="not_json",
    ),
    fires(
        "SynapHooksNotificationsFail",
        "notifications_total",
        "0+1x30",
        "100% of attempts to tell pagerduty fail",
        shown=("target",),
        target="pagerduty",
        reason="serverError",
    ),
    fires(
        "SynapHooksRotationStuck",
        "queue_depth",
        "2x60",
        "Steps of rotations wait or fail",
        at="30m",
        shown=(),
        queue="rotation",
    ),
    fires(
        "SynapHooksRotationStuck",
        "rotation_state",
        "1x120",
        "Steps of rotations wait or fail: production is restarting for an hour",
        at="2h",
        credential="production",
        state="restarting",
    ),
    fires(
        "SynapHooksRotationOverdue",
        "credential_expiry_timestamp_seconds",
        "88200x30",
        "The credential production expires in 1d 0h 0m 0s and is not rotated",
        at="30m",
        credential="production",
    ),
    fires(
        "SynapHooksRotationOverdue",
        "credential_expiry_timestamp_seconds",
        "600x30",
        "The credential production has expired and is not rotated",
        at="30m",
        credential="production",
    ),
    fires(
        "SynapHooksOldKeyLives",
        "rotation_state",
        "1x120",
        "The old key of production is past its overlap and still lives",
        at="2h",
        shown=("credential",),
        credential="production",
        state="revoking",
    ),
    fires("SynapHooksRedisAway", "redis_up", "0x30", "Workers cannot reach Redis"),
    fires(
        "SynapHooksWorkersDie",
        "worker_restarts_total",
        "0+1x30",
        "Processes of events end unasked, again and again",
        queue="events",
    ),
    fires(
        "SynapHooksJobRefused",
        "jobs_refused_total",
        "0x5 1x30",
        "Something undeclared was on a queue: function",
        reason="function",
    ),
    fires(
        "SynapHooksConfigRefused",
        "config_reloads_total",
        "0x5 1x30",
        "A changed configuration has problems; the last good one stays in use",
        shown=(),
        result="refused",
    ),
    fires(
        "SynapHooksRetiredKeyInUse",
        "requests_verified_total",
        "0+1x30",
        "Synap still signs with the key 2026-05 of endpoint default, which is past its retirement",
        endpoint="default",
        key="2026-05",
    ),
    *(
        fires(name, "api_calls_total", values, summary, at="20m", shown=(), outcome=outcome)
        for name, values, summary, outcome in (
            (
                "SynapApiErrors",
                "0+1x30",
                "100% of calls of the Synap API fail",
                "timed_out",
            ),
            (
                "SynapApiAuthenticationFailed",
                "0x18 1x30",
                "Synap refuses this service's API key",
                "unauthenticated",
            ),
            (
                "SynapApiRateLimited",
                "0+1x30",
                "Synap limits the rate of this service's calls",
                "rate_limited",
            ),
        )
    ),
)
