"""Fixtures of rotation: a house of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from tests.workers.rotation.house import House


@pytest.fixture
def house(redis: Redis, tmp_path: Path) -> House:
    """Return a credential in a store, live at Synap, whose keys a person makes."""
    return House(redis, tmp_path)
