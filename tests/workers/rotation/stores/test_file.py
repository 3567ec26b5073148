"""Store `file`."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from tests.workers.rotation.stores.conformance import Conformance
from tests.workers.rotation.stores.steps import (
    NEW,
    OLD,
    check,
    clean,
    configured,
    holds,
    promote,
    put,
    roll_back,
    text,
)
from workers.rotation.errors import PermanentError, PortError, Reason, RefusedError, TransientError
from workers.rotation.ports import Store
from workers.section import DocumentError


class Folder:
    """A folder with the file, and others that cannot be used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "synap.key"
        self.file.write_text(OLD)

    def store(self) -> Store:
        """Return the store, named as in a configuration."""
        return configured("{type: file, path: synap.key}", self.root)

    def set_current(self, value: str) -> None:
        """Write as an editor would, with a newline."""
        self.file.write_text(value + "\n")

    def set_pending(self, value: str) -> None:
        """Write the file beside."""
        (self.root / "synap.key.pending").write_text(value)

    def empty(self) -> Store:
        """Return a store whose file is not there."""
        return configured("{type: file, path: none.key}", self.root)

    def denied(self) -> Store:
        """Return a store below what only the kernel may open, whoever we are."""
        return configured("{type: file, path: /proc/sys/vm/compact_memory}")

    def unreachable(self) -> Store:
        """Return a store behind a link that leads to itself: the system gives up."""
        loop = self.root / "loop"
        if not loop.is_symlink():
            loop.symlink_to(loop)
        return configured("{type: file, path: loop/synap.key}", self.root)


class TestFile(Conformance):
    """The kit, and what is the file's own."""

    silent = Reason.SERVER_ERROR

    @pytest.fixture
    def place(self, tmp_path: Path) -> Folder:
        """Return a folder with the file."""
        return Folder(tmp_path)

    def test_only_the_owner_reads(self, place: Folder) -> None:
        """Every file that is written has mode 0600, whatever the umask was."""
        before = os.umask(0)
        try:
            put(place.store())
            promote(place.store())
            put(place.store())
        finally:
            os.umask(before)

        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.root.iterdir()}
        assert set(modes.values()) == {0o600}
        assert {"synap.key", "synap.key.pending", "synap.key.previous"} <= set(modes)

    def test_a_draft_of_a_killed_writer_is_replaced(self, place: Folder) -> None:
        """What a kill left half-written is never read, and goes with the next write."""
        draft = place.root / ".synap.key.draft"
        draft.write_text("synap_ha")

        put(place.store())
        promote(place.store())

        assert holds(place.store()) == (NEW, None)
        assert not draft.exists()

    def test_nothing_is_left_when_it_is_over(self, place: Folder) -> None:
        """The old value lies apart until the rotation is cleaned up; then it is lost."""
        for step in (put, promote, clean):
            step(place.store())

        assert sorted(path.name for path in place.root.iterdir()) == ["synap.key", "synap.key.lock"]
        with pytest.raises(PermanentError) as caught:
            roll_back(place.store())
        assert caught.value.reason == Reason.KEY_LOST

    @pytest.mark.parametrize("killed_after", ["previous", "current"])
    def test_a_promotion_that_was_killed_is_finished(
        self, place: Folder, killed_after: str
    ) -> None:
        """Between its writes, the file holds the old or the new value, and the repeat ends it."""
        put(place.store())
        (place.root / "synap.key.previous").write_text(OLD)
        if killed_after == "current":
            place.file.write_text(NEW)

        promote(place.store())
        finished = holds(place.store())
        roll_back(place.store())

        assert finished == (NEW, None)
        assert holds(place.store()) == (OLD, None)

    def test_a_link_is_refused(self, place: Folder) -> None:
        """A link is what other tools move, mounted Secrets among them."""
        (place.root / "link").symlink_to(place.file)
        store = configured("{type: file, path: link}", place.root)

        assert text(store.read_current()) == OLD
        for step in (check, put):
            with pytest.raises(RefusedError) as caught:
                step(store)
            assert caught.value.reason == Reason.MANAGED_ELSEWHERE

    def test_writers_exclude_each_other(self, place: Folder) -> None:
        """While one compares and sets, another is told to come later."""
        with (place.root / "synap.key.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            with pytest.raises(TransientError) as caught:
                put(place.store())

        assert caught.value.reason == Reason.CONFLICT

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            pytest.param(b"\xff\xfe", Reason.INVALID, id="no-text"),
            pytest.param(b"x" * 70_000, Reason.INVALID, id="too-large"),
            pytest.param(None, Reason.INVALID, id="a-folder"),
        ],
    )
    def test_what_is_no_credential(
        self, place: Folder, content: bytes | None, reason: Reason
    ) -> None:
        """A file that cannot be a credential is refused by name."""
        place.file.unlink()
        if content is None:
            place.file.mkdir()
        else:
            place.file.write_bytes(content)

        with pytest.raises(PortError) as caught:
            place.store().read_current()
        assert caught.value.reason == reason

    def test_a_path_is_needed(self, tmp_path: Path) -> None:
        """The configuration is refused with its line."""
        with pytest.raises(DocumentError, match='field "path" is missing'):
            configured("{type: file}", tmp_path)
