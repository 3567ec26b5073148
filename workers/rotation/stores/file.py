"""Store `file`: one file on this host, for a single machine and for the demo.

    PATH            what applications read
    PATH.pending    the key to come
    PATH.previous   the key before, until the rotation is cleaned up

Each write is a new file (mode 0600) that is synced and then renamed over the old one; writers
exclude each other by a lock on `PATH.lock`, so that comparing and setting are one.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workers.rotation.errors import PermanentError, PortError, Reason, RefusedError, TransientError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Slot
from workers.rotation.stores import judging
from workers.section import Section

MODE: Final = 0o600
MAX_BYTES: Final = 64 * 1024

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class File:
    """Keeps a credential in a file, and beside it what comes and what was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = path.with_name(f"{path.name}.pending")
        self._previous = path.with_name(f"{path.name}.previous")
        self._lock = path.with_name(f"{path.name}.lock")

    @property
    def name(self) -> str:
        """Return the kind and the path."""
        return f"file:{self._path}"

    def check(self) -> None:
        """See that it is no link, and that nobody else is writing."""
        with self._locked():
            return

    def read_current(self) -> Slot | None:
        """Return what the file holds."""
        with self._reading():
            return _slot(self._path)

    def read_pending(self) -> Slot | None:
        """Return what the file beside it holds."""
        with self._reading():
            return _slot(self._pending)

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the old value, from the file or from the one that keeps it."""
        with self._reading():
            return self._old(pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Write the file beside it."""
        del token
        with self._locked():
            if judging.must_put(self.name, _slot(self._path), _slot(self._pending), pair):
                _write(self._pending, value.reveal())

    def promote(self, pair: Pair, token: str) -> None:
        """Keep the old value aside, then rename the new one over the file."""
        del token
        with self._locked():
            current = _slot(self._path)
            if judging.must_promote(self.name, current, pair):
                pending = judging.waiting(self.name, _slot(self._pending), pair)
                assert current is not None
                _write(self._previous, current.value.reveal())
                _write(self._path, pending.value.reveal())
            self._forget_pending(pair)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Write the old value over the file."""
        del token
        with self._locked():
            if judging.must_roll_back(self.name, _slot(self._path), pair):
                old = judging.kept(self.name, self._old(pair))
                _write(self._path, old.value.reveal())

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Remove the file beside it, if it holds the new value."""
        del token
        with self._locked():
            self._forget_pending(pair)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Remove the pending and the previous file where they are ours, and what a kill left."""
        del token
        with self._locked():
            self._forget_pending(pair)
            if judging.old_of([_slot(self._previous)], pair):
                _remove(self._previous)
            for path in (self._path, self._pending, self._previous):
                _remove(_draft(path))

    def _old(self, pair: Pair) -> Slot | None:
        return judging.old_of((_slot(path) for path in (self._path, self._previous)), pair)

    def _forget_pending(self, pair: Pair) -> None:
        if judging.waits(_slot(self._pending), pair):
            _remove(self._pending)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other writers while the body compares and sets."""
        with self._reading():
            _slot(self._path)  # no lock is left beside a file that cannot be read
            if self._path.is_symlink():
                raise RefusedError(
                    Reason.MANAGED_ELSEWHERE, f"{self.name}: it is a link; name its target"
                )
            if not self._path.exists():
                raise PermanentError(Reason.NOT_FOUND, f"{self.name}: there is no such file")
            lock = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, MODE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
            finally:
                os.close(lock)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except PortError:
            raise
        except BlockingIOError:
            raise TransientError(Reason.CONFLICT, f"{self.name}: another writer has it") from None
        except UnicodeDecodeError:
            raise PermanentError(Reason.INVALID, f"{self.name}: it holds no text") from None
        except OSError as error:
            raise self._trouble(error) from None

    def _trouble(self, error: OSError) -> PortError:
        said = f"{self.name}: {os.strerror(error.errno or 0)}"
        if error.errno in _DENIED:
            return PermanentError(Reason.DENIED, said)
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return PermanentError(Reason.NOT_FOUND, said)
        if error.errno in (errno.EISDIR, errno.EFBIG, errno.ENAMETOOLONG):
            return PermanentError(Reason.INVALID, said)
        return TransientError(Reason.SERVER_ERROR, said)


def _slot(path: Path) -> Slot | None:
    """Return a file's value without the newline that editors add; its version is its inode."""
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
            inode = os.fstat(opened.fileno()).st_ino
    except FileNotFoundError:
        return None
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, "")
    text = content.removesuffix(b"\n").removesuffix(b"\r").decode()
    return Slot(Secret(text), str(inode)) if text else None


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole: after a power cut it holds the old or the new value.

    The draft has one name, so that a killed writer leaves at most one, which the next replaces.
    """
    draft = _draft(path)
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, MODE), "wb") as opened:
        os.fchmod(opened.fileno(), MODE)
        opened.write(text.encode())
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(path)
    _sync(path.parent)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make a rename or a removal last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(section: Section) -> File:
    """Read the entry of type `file`; a relative path lies beside the configuration."""
    path = section.text("path")
    if not path:
        section.problem('field "path" is missing: the file that applications read')
    return File(section.findings.base / path)
