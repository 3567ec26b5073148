"""The issuers: who makes the new key and takes the old one back, where that is no person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.rotation.adapters import Adapter

ISSUERS: Final[Mapping[str, Adapter]] = {
    "http": Adapter("workers.rotation.issuers.http"),
}
"""Every type of issuer, and where it is written."""
