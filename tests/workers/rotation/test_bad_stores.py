"""Stores that fail, refuse, lie, disagree, or that somebody else writes to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.workers.rotation.fake_store import FakeStore
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import NEW, OLD
from workers.rotation.errors import (
    OrderError,
    PermanentError,
    Reason,
    RefusedError,
    TransientError,
)
from workers.rotation.fingerprint import Secret
from workers.rotation.state import State

HOUR = 3_600.0
DAY = 24 * HOUR


def to(house: House, state: State, **given: object) -> str:
    """Carry a new rotation to a state, with a person's help, and return its id."""
    rotation_id = house.start(**given)
    found = drive(house, rotation_id, until=state)
    assert found.state is state, found
    return rotation_id


def test_a_store_that_fails_while_submitting(house: House, redis: Redis) -> None:
    """The key is good and not stored: the person is told, and may submit it again."""
    rotation_id = to(house, State.AWAITING_KEY)
    house.world.add_key(NEW, key_id="key_new")
    house.changes["stores"] = (replace(house.store, broken=TransientError(Reason.UNREACHABLE)),)
    with pytest.raises(OrderError, match="submit the same key again"):
        orders(house, redis).submit(rotation_id, Secret(NEW))
    del house.changes["stores"]

    assert drive(house, rotation_id).state is State.DONE
    assert "awaiting_key" in house.path(rotation_id)[6:]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(PermanentError(Reason.DENIED, "no"), Reason.DENIED, id="denied"),
        pytest.param(RefusedError(Reason.MANAGED_ELSEWHERE), Reason.MANAGED_ELSEWHERE, id="owned"),
        pytest.param(TransientError(Reason.TIMEOUT), Reason.TIMEOUT, id="never-answers"),
    ],
)
def test_a_store_that_does_not_take_the_key(
    house: House, error: PermanentError, cause: Reason
) -> None:
    """The new key is revoked again, and nothing of it is left; or a person has to look."""
    house.by_issuer()
    house.changes["stores"] = (replace(house.store, broken=error),)

    end = drive(house, house.start())

    assert end.state in {State.ABORTED, State.PAUSED}
    assert end.cause == cause
    assert house.store.held() == OLD
    if end.state is State.ABORTED:
        live = [value for value, key in house.world.read()["keys"].items() if key["alive"]]
        assert live == [OLD]


def test_a_place_that_cannot_be_written_to_is_found_before_a_key_is_made(house: House) -> None:
    """Such as an immutable Secret: nobody is asked for a key, and none is issued."""
    house.world.spoil("check")

    end = drive(house, house.by_issuer().start())

    assert (end.state, end.back, end.cause) == (State.PAUSED, State.LOCKED, Reason.IMMUTABLE)
    assert "issue" not in house.world.read()["calls"]


def test_a_store_that_lies(house: House) -> None:
    """What is read back counts: a store that only says that it wrote ends the rotation."""
    house.by_issuer()
    house.changes["stores"] = (replace(house.store, lies=True),)

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.ABORTED, Reason.UNFAITHFUL)
    assert [key["id"] for key in house.world.read()["keys"].values() if key["alive"]] == ["key_old"]


@pytest.mark.parametrize("state", [State.STORED_PENDING, State.OVERLAP, State.REVOKE_GATE])
def test_a_third_writer(house: House, state: State) -> None:
    """A key that nobody here knows is never written over, and nothing is revoked meanwhile."""
    house.by_issuer()
    rotation_id = to(house, state)
    house.store.fill("synap_" + "third" * 12)

    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.THIRD_WRITER)
    assert house.store.held() == "synap_" + "third" * 12
    assert house.heard.firing() == {"SynapRotationThirdWriter"}
    assert house.world.read()["keys"][OLD]["alive"]


def test_two_stores_go_together(house: House) -> None:
    """The key is pending in all before it is current in one, and current in all at the end."""
    other = FakeStore(house.world, "other")
    other.fill(OLD)
    house.by_issuer().changes["stores"] = (house.store, other)

    end = house.run(house.start())

    assert end.state is State.DONE
    assert house.store.held() == other.held() != OLD
    calls = house.world.read()["calls"]
    last_put = len(calls) - 1 - calls[::-1].index("put_pending")
    assert calls.index("promote") > last_put


def test_stores_that_disagree(house: House) -> None:
    """Two stores with different keys are no place to begin."""
    other = FakeStore(house.world, "other")
    other.fill(NEW)
    house.changes["stores"] = (house.store, other)

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.PAUSED, Reason.THIRD_WRITER)
