"""Signing keys: from files, by endpoint and label, replaced while running."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from receiver.errors import SettingsError, SignatureError
from receiver.keyfiles import KeySource
from receiver.keyring import Keyring
from receiver.metrics import Metrics
from receiver.signature import SigningKey, sign

BODY = b'{"event_id":"evt_1"}'
OLD, NEW, OTHER = b"old-secret-0123456789", b"new-secret-0123456789", b"other-secret-0123456789"


def keyring(directory: object, *, interval: float = 0.01) -> Keyring:
    """Return a keyring that reads a directory."""
    metrics = Metrics(CollectorRegistry())
    return Keyring(KeySource(None, str(directory)), metrics, interval=interval)


def header(secret: bytes) -> bytes:
    """Return the header of a body signed with a secret."""
    return sign(BODY, SigningKey("any", secret)).encode()


def failures(ring: Keyring) -> float:
    """Return how many reloads failed."""
    value = ring._metrics.registry.get_sample_value("synap_hooks_key_reload_failures_total")
    assert value is not None
    return value


def refusal(ring: Keyring, endpoint: str, signature: bytes | None) -> str:
    """Return why a delivery is refused."""
    with pytest.raises(SignatureError) as caught:
        ring.verify(endpoint, BODY, signature)
    return caught.value.reason


def problems(directory: object) -> list[str]:
    """Return what is wrong with a directory."""
    with pytest.raises(SettingsError) as caught:
        keyring(directory)
    return caught.value.problems


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with two keys, and one of another endpoint."""
    (tmp_path / "2026-05").write_bytes(OLD + b"\n")
    (tmp_path / "2026-11").write_bytes(NEW)
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "first").write_bytes(OTHER + b"\r\n")
    return tmp_path


def test_labels_are_file_names(directory: Path) -> None:
    """Files are keys of the default endpoint, a subdirectory is an endpoint of its own."""
    ring = keyring(directory)

    assert ring.labels == {"default": ["2026-05", "2026-11"], "billing": ["first"]}
    assert ring.verify("default", BODY, header(OLD)).label == "2026-05"
    assert ring.verify("default", BODY, header(NEW)).label == "2026-11"
    assert ring.verify("billing", BODY, header(OTHER)).label == "first"


def test_configured_paths_are_endpoints(directory: Path) -> None:
    """`name=/path` entries stand beside each other."""
    ring = keyring(f"eu={directory / 'billing'}, us={directory / 'billing'}")

    assert ring.labels == {"eu": ["first"], "us": ["first"]}


def test_refusals(directory: Path) -> None:
    """A key of one endpoint opens no other; an unknown endpoint opens for none."""
    ring = keyring(directory)

    assert refusal(ring, "default", header(OTHER)) == "signature_mismatch"
    assert refusal(ring, "billing", None) == "signature_missing"
    assert refusal(ring, "nobody", header(NEW)) == "endpoint_unknown"
    assert refusal(ring, "nobody", None) == "endpoint_unknown"


def test_an_unknown_endpoint_costs_the_same_work(directory: Path) -> None:
    """As many decoys are tried as the endpoint with the most keys has."""
    ring = keyring(directory)

    assert len(ring._decoys) == 2


def test_kubernetes_links_are_skipped(tmp_path: Path) -> None:
    """A mounted Secret is read through its links, once."""
    (tmp_path / "..2026_11").mkdir()
    (tmp_path / "..2026_11" / "main").write_bytes(NEW)
    (tmp_path / "..data").symlink_to("..2026_11")
    (tmp_path / "main").symlink_to("..data/main")

    assert keyring(tmp_path).labels == {"default": ["main"]}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param(
            "short", b"x" * 15, "key 'short' of endpoint 'default' is shorter", id="short"
        ),
        pytest.param("newline", b"x" * 15 + b"\n", "'newline'", id="newline does not count"),
        pytest.param("long", b"x" * 4097, "key 'long' of endpoint 'default' is longer", id="long"),
        pytest.param("a b", NEW, "the file's name is the label", id="label"),
    ],
)
def test_bad_key_files(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """A bad key is named by its label, never by its content."""
    (tmp_path / name).write_bytes(content)

    found = problems(tmp_path)

    assert len(found) == 1
    assert expected in found[0]


def test_bad_directories(tmp_path: Path) -> None:
    """What cannot be read or holds nothing is named, all of it at once."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad name").mkdir()
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "deeper").mkdir()

    found = problems(f"{tmp_path},{tmp_path / 'absent'},nested={tmp_path / 'empty'}")

    assert [text.split(": ", 1)[1].replace(str(tmp_path), "") for text in found] == [
        "'bad name' is no endpoint name; use letters, digits, . _ -",
        "endpoint 'empty' has no key in /empty",
        "key 'deeper' of endpoint 'nested': cannot read the file: Is a directory",
        "cannot read /absent: No such file or directory",
        "endpoint 'nested' has no key in /empty",
        "endpoint 'nested' is given twice; keep one",
    ]


def test_an_empty_directory_is_no_key(tmp_path: Path) -> None:
    """Without any key nothing could ever be accepted."""
    assert problems(tmp_path) == [
        "no signing key at all: set SYNAP_WEBHOOK_SECRET or fill the directory"
    ]


async def test_reload_takes_what_changed(directory: Path) -> None:
    """A new key is accepted and a removed one refused, without a restart."""
    ring = keyring(directory)
    (directory / "2026-05").unlink()
    (directory / "2027-05").write_bytes(OTHER)

    assert await ring.reload()

    assert ring.labels["default"] == ["2026-11", "2027-05"]
    assert ring.verify("default", BODY, header(OTHER)).label == "2027-05"
    assert refusal(ring, "default", header(OLD)) == "signature_mismatch"


async def test_reload_of_the_same_changes_nothing(directory: Path) -> None:
    """Reading the same files again is no change."""
    assert not await keyring(directory).reload()


async def test_a_failed_reload_keeps_the_last_good_keys(directory: Path) -> None:
    """A half-written file refuses nothing that was accepted before; each failure is counted."""
    ring = keyring(directory)
    (directory / "2026-11").write_bytes(b"")

    assert not await ring.reload()
    assert not await ring.reload()

    assert failures(ring) == 2
    assert ring.verify("default", BODY, header(NEW)).label == "2026-11"
    (directory / "2026-11").write_bytes(OTHER)
    assert await ring.reload()


async def test_watching(directory: Path) -> None:
    """The watch takes a change by itself."""
    ring = keyring(directory)
    watching = asyncio.create_task(ring.watch())
    (directory / "2027-05").write_bytes(OTHER)

    for _ in range(1000):
        await asyncio.sleep(0.005)
        if "2027-05" in ring.labels["default"]:
            break

    assert "2027-05" in ring.labels["default"]
    watching.cancel()


async def test_inline_keys_need_no_watch() -> None:
    """Keys from the environment never change, so that the watch ends at once."""
    ring = Keyring(KeySource(OLD.decode(), None), Metrics(CollectorRegistry()))

    await ring.watch()

    assert ring.labels == {"default": ["key-1"]}
