"""The value that everything hands to alerting."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return 16 hex digits that stand for a label set; order does not matter."""
    return _fingerprint(tuple(sorted(labels.items())))


@lru_cache(maxsize=1024)
def _fingerprint(labels: tuple[tuple[str, str], ...]) -> str:
    """Return the digest of sorted labels; the alerts of a storm have the same ones."""
    framed = b"".join(b"%b\xff%b\xff" % (name.encode(), text.encode()) for name, text in labels)
    return hashlib.sha256(framed).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something on-call may have to know; times are Unix seconds (UTC).

    Labels identify it (same labels, same alert) and route it; annotations explain it.
    `ends_at` is None while it fires. `timeout` is True when `ends_at` was only assumed.
    Empty label values mean that the label is absent.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: float
    updated_at: float
    ends_at: float | None = None
    timeout: bool = False
    generator_url: str = ""

    def __post_init__(self) -> None:
        kept = {name: value for name, value in self.labels.items() if value}
        object.__setattr__(self, "labels", kept)

    @property
    def fingerprint(self) -> str:
        """The alert's identity: a digest of its labels."""
        return fingerprint(self.labels)

    @property
    def name(self) -> str:
        """The `alertname` label."""
        return self.labels.get("alertname", "")

    def resolved(self, now: float) -> bool:
        """Say whether the alert is over at `now`."""
        return self.ends_at is not None and self.ends_at <= now

    def to_wire(self) -> bytes:
        """Return the stored JSON form."""
        return orjson.dumps(
            {
                "labels": self.labels,
                "annotations": self.annotations,
                "starts_at": self.starts_at,
                "updated_at": self.updated_at,
                "ends_at": self.ends_at,
                "timeout": self.timeout,
                "generator_url": self.generator_url,
            }
        )

    @classmethod
    def from_wire(cls, wire: bytes | str) -> Alert:
        """Read the stored JSON form; unknown fields of a newer release are ignored."""
        stored: dict[str, Any] = orjson.loads(wire)
        return cls(
            labels=stored["labels"],
            annotations=stored.get("annotations", {}),
            starts_at=stored["starts_at"],
            updated_at=stored["updated_at"],
            ends_at=stored.get("ends_at"),
            timeout=stored.get("timeout", False),
            generator_url=stored.get("generator_url", ""),
        )
