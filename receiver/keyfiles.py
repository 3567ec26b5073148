"""Signing secrets as they lie in the environment and in mounted files.

Pure reading: every problem is collected and named by endpoint and label, never by content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from receiver.errors import SettingsError
from receiver.event import DEFAULT_ENDPOINT

MIN_SECRET_BYTES: Final = 16
MAX_SECRET_BYTES: Final = 4096

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Secrets = Mapping[str, Mapping[str, bytes]]
"""The secrets of each endpoint by label."""


class KeySource(NamedTuple):
    """Where the signing secrets come from: inline text or directories, never both."""

    inline: str | None
    directory: str | None


def read(source: KeySource) -> Secrets:
    """Return every secret by endpoint and label.

    Raises:
        SettingsError: a key is too short, unreadable or oddly named, or there is none at all.
    """
    problems: list[str] = []
    secrets: dict[str, dict[str, bytes]] = {}
    if source.inline is not None:
        secrets[DEFAULT_ENDPOINT] = _inline(source.inline, problems)
    if source.directory is not None:
        _directories(source.directory, secrets, problems)
    if not problems and not any(secrets.values()):
        problems.append("no signing key at all: set SYNAP_WEBHOOK_SECRET or fill the directory")
    if problems:
        raise SettingsError(problems)
    return secrets


def strip_newline(content: bytes) -> bytes:
    """Return `content` without the one trailing newline that editors add."""
    return content.removesuffix(b"\n").removesuffix(b"\r")


def _inline(text: str, problems: list[str]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for position, part in enumerate(text.split(","), start=1):
        label = f"key-{position}"
        secret = part.strip().encode()
        problem = _flaw_of(secret)
        if problem:
            problems.append(f"SYNAP_WEBHOOK_SECRET: key {label!r} {problem}")
        keys[label] = secret
    return keys


def _directories(text: str, secrets: dict[str, dict[str, bytes]], problems: list[str]) -> None:
    for part in text.split(","):
        name, separator, path = part.strip().partition("=")
        root = Path(path if separator else name)
        if separator:
            _endpoint(name, root, secrets, problems)
        else:
            _tree(root, secrets, problems)


def _tree(root: Path, secrets: dict[str, dict[str, bytes]], problems: list[str]) -> None:
    """Read one directory whose files belong to the default endpoint, subdirectories to others."""
    files: list[Path] = []
    for entry in _entries(root, problems):
        if entry.is_dir():
            _endpoint(entry.name, entry, secrets, problems)
        else:
            files.append(entry)
    if files:
        _keep(DEFAULT_ENDPOINT, _labelled(files, DEFAULT_ENDPOINT, problems), secrets, problems)


def _endpoint(
    name: str, root: Path, secrets: dict[str, dict[str, bytes]], problems: list[str]
) -> None:
    if not _NAME.fullmatch(name):
        problems.append(
            f"SYNAP_WEBHOOK_SECRET_DIR: {name!r} is no endpoint name; use letters, digits, . _ -"
        )
        return
    before = len(problems)
    files = list(_entries(root, problems))
    keys = _labelled(files, name, problems)
    if not keys and len(problems) == before:
        problems.append(f"SYNAP_WEBHOOK_SECRET_DIR: endpoint {name!r} has no key in {root}")
    _keep(name, keys, secrets, problems)


def _keep(
    name: str,
    keys: dict[str, bytes],
    secrets: dict[str, dict[str, bytes]],
    problems: list[str],
) -> None:
    if name in secrets:
        problems.append(f"SYNAP_WEBHOOK_SECRET_DIR: endpoint {name!r} is given twice; keep one")
    secrets[name] = keys


def _entries(root: Path, problems: list[str]) -> Iterator[Path]:
    """Yield what lies in `root`; names with a leading dot are Kubernetes' own links."""
    try:
        found = sorted(root.iterdir())
    except OSError as error:
        problems.append(f"SYNAP_WEBHOOK_SECRET_DIR: cannot read {root}: {error.strerror}")
        return
    yield from (entry for entry in found if not entry.name.startswith("."))


def _labelled(files: list[Path], endpoint: str, problems: list[str]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for file in files:
        where = f"SYNAP_WEBHOOK_SECRET_DIR: key {file.name!r} of endpoint {endpoint!r}"
        if not _NAME.fullmatch(file.name):
            problems.append(f"{where}: the file's name is the label; use letters, digits, . _ -")
            continue
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_SECRET_BYTES + 3)
        except OSError as error:
            problems.append(f"{where}: cannot read the file: {error.strerror}")
            continue
        secret = strip_newline(content)
        problem = _flaw_of(secret)
        if problem:
            problems.append(f"{where} {problem}")
        keys[file.name] = secret
    return keys


def _flaw_of(secret: bytes) -> str | None:
    if len(secret) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes; copy it whole from the Dashboard"
    if len(secret) > MAX_SECRET_BYTES:
        return f"is longer than {MAX_SECRET_BYTES} bytes; it is no signing secret"
    return None
