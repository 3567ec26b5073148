"""A sample of each event type, marked as one in every field that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

import orjson

from receiver.event import (
    CONFIG_APPLIED,
    CREDENTIAL_EXPIRING,
    INGESTION_FAILED,
    RETENTION_CLEANUP,
)
from workers.cli.output import iso

TEST: Final = "synap-hooks.test"
INSTANCE: Final = "inst_00000000005a3b1e"

DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    INGESTION_FAILED: {
        "ingestion_id": "ing_sample",
        "document_id": "doc_sample",
        "document_type": "pdf",
        "stage": "extraction",
        "error_code": "INVALID_INPUT",
        "error_message": "a sample of synap-hooks send: page 3 cannot be read",
        "retryable": False,
        "attempt": 1,
    },
    CREDENTIAL_EXPIRING: {
        "credential_id": "key_sample",
        "credential_type": "api_key",
        "label": "sample",
        "days_remaining": 7,
    },
    CONFIG_APPLIED: {
        "config_id": "cfg_sample_2",
        "version": 2,
        "previous_config_id": "cfg_sample_1",
        "applied_by": "synap-hooks send",
        "mode": "graceful",
        "reason": "a sample",
    },
    RETENTION_CLEANUP: {
        "memories_deleted": 120,
        "memories_scanned": 4000,
        "scope": "sample",
        "policy": {"max_memory_age_days": 90, "max_memories_per_scope": 10000},
        "dry_run": True,
    },
    TEST: {"note": "a sample of synap-hooks send"},
}
"""The data of each sample by event type; the last is of a type that nobody knows."""


class Sample(NamedTuple):
    """One body, ready to be signed."""

    type: str
    event_id: str
    body: bytes


def sample(event_type: str, *, now: float) -> Sample:
    """Return a fresh sample of a type, dated `now` (Unix seconds)."""
    event_id = f"evt_sample_{uuid4().hex}"
    body = {
        "event_id": event_id,
        "event_type": event_type,
        "timestamp": iso(now),
        "instance_id": INSTANCE,
        "correlation_id": f"corr_sample_{uuid4().hex[:16]}",
        "data": DATA[event_type],
    }
    return Sample(event_type, event_id, orjson.dumps(body))
