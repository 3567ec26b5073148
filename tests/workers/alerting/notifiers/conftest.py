"""Fixtures of the targets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workers.outbound import Outbound


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    """Yield a client whose time-outs a busy machine keeps."""
    client = Outbound(connect=5.0, read=10.0)
    yield client
    client.close()


@pytest.fixture
def impatient() -> Iterator[Outbound]:
    """Yield a client for targets that hang."""
    client = Outbound(connect=0.3, read=0.3)
    yield client
    client.close()
