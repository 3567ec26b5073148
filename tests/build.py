"""Builders: what a test does not care about has a value here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from receiver.signature import SigningKey, sign
from workers.alert import Alert

SECRET = "whsec_0123456789abcdef0123456789abcdef"
LABEL = "env-1"
NOW = 1_800_000_000.0
INSTANCE = "inst_0123456789abcdef"

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "ingestion.failed": {
        "ingestion_id": "ing_1",
        "document_id": "doc_1",
        "document_type": "pdf",
        "stage": "extraction",
        "error_code": "PARSE_ERROR",
        "error_message": "unreadable page 3",
        "retryable": False,
        "attempt": 3,
    },
    "credential.expiring": {
        "credential_id": "key_1",
        "credential_type": "api_key",
        "label": "production",
        "days_remaining": 2,
    },
    "config.applied": {
        "config_id": "cfg_2",
        "version": 2,
        "previous_config_id": "cfg_1",
        "applied_by": "dana",
        "mode": "immediate",
        "reason": "longer retention",
    },
    "retention.cleanup": {
        "memories_deleted": 120,
        "memories_scanned": 4000,
        "scope": "customer",
        "policy": {"max_memory_age_days": 90},
        "dry_run": False,
    },
}


def iso(moment: float) -> str:
    """Return Unix seconds as the sender writes them: ISO 8601, UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def make_event(event_type: str = "ingestion.failed", **overrides: Any) -> dict[str, Any]:
    """Return a body as Synap sends it, dated now; `overrides` replace, None removes a field.

    `data` given as an override is merged into the sample of the type.
    """
    data = {**SAMPLES.get(event_type, {}), **overrides.pop("data", {})}
    body = {
        "event_id": "evt_1",
        "event_type": event_type,
        "timestamp": iso(time.time()),
        "instance_id": INSTANCE,
        "client_id": "cli_0123456789abcdef",
        "correlation_id": "corr_1",
        "data": data,
        **overrides,
    }
    return {name: value for name, value in body.items() if value is not None}


def signed(
    body: Mapping[str, Any] | bytes | None = None, *, secret: str = SECRET
) -> tuple[bytes, dict[str, str]]:
    """Return the bytes of a body and the headers that Synap would send with it."""
    raw = body if isinstance(body, bytes) else orjson.dumps(make_event() if body is None else body)
    signature = sign(raw, SigningKey(LABEL, secret.encode()))
    return raw, {"content-type": "application/json", "x-synap-signature": signature}


def make_alert(
    name: str = "IngestionFailed",
    *,
    now: float = NOW,
    ends_at: float | None = None,
    annotations: Mapping[str, str] | None = None,
    **labels: str,
) -> Alert:
    """Return an alert that fires since `now`; further keywords are labels, "" removes one."""
    base = {
        "alertname": name,
        "severity": "warning",
        "event_type": "ingestion.failed",
        "instance_id": INSTANCE,
    }
    return Alert(
        labels={**base, **labels},
        annotations={"summary": "A document failed", **(annotations or {})},
        starts_at=now,
        updated_at=now,
        ends_at=ends_at,
    )
