"""What Prometheus sees of rotations."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.house import NAME, House
from tests.workers.rotation.people import drive
from workers.rotation.book import Book
from workers.rotation.config import RotationConfig
from workers.rotation.gauges import RotationCollector
from workers.rotation.state import State

PREFIX = "synap_hooks"


def registry(house: House) -> CollectorRegistry:
    """Return a registry that shows the house's credential."""
    found = CollectorRegistry()
    config = RotationConfig(credentials=(house.credential,))
    found.register(RotationCollector(house.book, lambda: config, house.clock))
    return found


def test_the_overlap_shows(house: House) -> None:
    """State, time left, expiry, and that both keys live; by configured names alone."""
    rotation_id = house.by_issuer().start()
    drive(house, rotation_id, until=State.OVERLAP)
    house.book.note(NAME, {"expires_at": NOW + 7})
    found = registry(house)

    def value(name: str, **labels: str) -> float | None:
        return found.get_sample_value(f"{PREFIX}_{name}", {"credential": NAME, **labels})

    assert value("rotation_state", state="overlap") == 1.0
    assert value("rotation_state", state="done") == 0.0
    assert value("rotation_overlap_remaining_seconds") == 48 * 3_600.0
    assert value("credential_expiry_timestamp_seconds") == NOW + 7
    assert value("rotation_old_key_in_use") == 1.0


def test_without_a_rotation(house: House) -> None:
    """Every series is there and zero."""
    samples = [s.value for family in registry(house).collect() for s in family.samples]

    assert set(samples) == {0.0}
    assert len(samples) > 20


def test_without_redis() -> None:
    """Nothing is shown that would be a guess."""
    book = Book(Redis(unix_socket_path="/nowhere"), "synap")
    config = RotationConfig(credentials=())
    collector = RotationCollector(book, lambda: config, lambda: NOW)

    assert list(collector.collect()) is not None
    assert collector.describe() == []
