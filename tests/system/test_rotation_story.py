"""The full story: a signed event in, two workloads on a new key, the old one revoked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from receiver import logs
from tests.system.rotation_story import HOUR, WORKLOADS, staged, tell
from workers.rotation.state import State


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Yield the file to which every process of the story logs, at the most talkative level."""
    before = logging.getLogger().handlers[:]
    path = tmp_path / "everything.log"
    with path.open("ab") as out:
        logs.configure("debug", "json", out)
        yield path
    logging.getLogger().handlers[:] = before
    structlog.reset_defaults()


@pytest.mark.timeout(180)
def test_the_whole_story(tmp_path: Path, log: Path) -> None:
    """From `credential.expiring` to the resolved incident, with the timeline printed."""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line)

    with staged(tmp_path, say) as story:
        end = tell(story)
        dump = b"".join(
            path.read_bytes() for path in story.redis.folder.rglob("*") if path.is_file()
        )
        new = (tmp_path / "key").read_text()
        told = b"".join(request.body for request in story.sink.seen)

        assert end.state is State.DONE
        assert end.revoked_at >= end.verified_at + 48 * HOUR
        assert [story.restarts(name) for name in WORKLOADS] == [1, 1]
        assert all(story.serving(name) for name in WORKLOADS)
        said = log.read_bytes() + "\n".join(lines).encode()
        assert b"rotation.moved" in said
        for key in (story.old, new):
            assert key.encode() not in dump + told + said

    assert any("[medium] SynapCredentialExpiring" in line or "[low] SynapCredentialExpiring" in line
               for line in lines)  # fmt: skip
    assert "[resolved] SynapCredentialExpiring" in "\n".join(lines)
