"""The rollouts: each file holds its configuration, its class and its reading of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.rotation.adapters import Adapter

ROLLOUTS: Final[Mapping[str, Adapter]] = {
    "none": Adapter("workers.rotation.rollouts.none"),
    "command": Adapter("workers.rotation.rollouts.command"),
    "webhook": Adapter("workers.rotation.rollouts.webhook"),
    "kubernetes": Adapter("workers.rotation.rollouts.kubernetes", "kubernetes"),
}
"""Every type of rollout, and where it is written."""
