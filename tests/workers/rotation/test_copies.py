"""Copies that something else makes of the key: applications restart when these hold it."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from tests.workers.rotation.bystanders import FakeCopy
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import NEW, OLD
from workers.rotation.errors import Reason, RefusedError
from workers.rotation.state import State

MINUTE = 60.0


def to(house: House, state: State) -> str:
    """Carry a new rotation to a state and return its id."""
    rotation_id = house.watched().by_issuer().start()
    found = drive(house, rotation_id, until=state)
    assert found.state is state, found
    return rotation_id


def test_nothing_restarts_before_the_copy_has_the_key(house: House) -> None:
    """It is asked to look at its store, and once it has, the rollout begins."""
    rotation_id = to(house, State.DONE)

    world = house.world.read()
    assert world["copy"]["marks"] == [f"{rotation_id}-0"]
    assert world["calls"].index("promote") < world["calls"].index("ask")
    assert world["calls"].index("ask") < world["calls"].index("start")
    assert {found["reads"] for found in world["workloads"].values()} == {house.store.held()}


def test_a_copy_that_was_filled_from_a_stale_answer_is_asked_again(house: House) -> None:
    """Each look asks with a mark of its own."""
    rotation_id = to(house, State.PROMOTED)
    house.world.spoil("copy")
    for _ in range(3):
        house.wait_for(house.rotation(rotation_id).due_at)
        house.machine.advance(rotation_id)

    assert house.rotation(rotation_id).reason == Reason.UNSYNCED
    assert house.world.read()["copy"]["marks"] == [f"{rotation_id}-{n}" for n in range(3)]
    house.world.mend()
    assert drive(house, rotation_id).state is State.DONE


def test_a_copy_that_stays_behind_pauses_the_rotation(house: House, redis: Redis) -> None:
    """After ten minutes a person has to look; nothing was restarted, and resuming goes on."""
    rotation_id = to(house, State.PROMOTED)
    house.world.spoil("copy")

    end = drive(house, rotation_id)

    assert (end.state, end.back, end.cause) == (State.PAUSED, State.PROMOTED, Reason.UNSYNCED)
    assert 10 * MINUTE <= end.entered_at - end.promoted_at <= 20 * MINUTE
    assert house.world.read()["workloads"] == {}
    assert house.heard.firing() == {"SynapRotationFailed"}
    house.world.mend()
    orders(house, redis).resume(rotation_id)
    assert drive(house, rotation_id).state is State.DONE


def test_the_way_back_waits_for_the_copy_as_well(house: House, redis: Redis) -> None:
    """What restarts gets the old key again, not the new one that is about to be revoked."""
    rotation_id = to(house, State.OVERLAP)

    orders(house, redis).roll_back(rotation_id)
    end = drive(house, rotation_id)

    assert end.state is State.ROLLED_BACK
    assert house.world.read()["copy"]["marks"][-1] == f"{rotation_id}-rb-0"
    assert {found["reads"] for found in house.world.read()["workloads"].values()} == {OLD}


def test_a_copy_that_goes_back_keeps_the_gate_shut(house: House) -> None:
    """The old key is not revoked while the next pod would start with it."""
    rotation_id = to(house, State.REVOKE_GATE)
    new = house.store.held()
    assert new is not None
    FakeCopy(house.world).fill(OLD)

    house.wait_for(house.rotation(rotation_id).due_at)
    house.machine.advance(rotation_id)

    found = house.rotation(rotation_id)
    assert (found.state, found.reason) == (State.REVOKE_GATE, Reason.NOT_NOW)
    assert found.detail == "fake copy does not hold the new key"
    FakeCopy(house.world).fill(new)
    assert drive(house, rotation_id).state is State.DONE


def test_a_leaked_key_does_not_wait_long_for_a_copy(house: House, redis: Redis) -> None:
    """With an accepted outage it goes after a minute, whatever the copy holds."""
    rotation_id = to(house, State.PROMOTED)
    house.world.spoil("copy")
    before = house.clock()

    orders(house, redis).revoke_now(rotation_id, accept_outage=True, why="leaked")
    drive(house, rotation_id, until=State.REVOKED)

    assert house.world.read()["revoked_at"][OLD] <= before + 2 * MINUTE


def test_a_copy_of_something_else_is_noticed_before_anything_is_made(house: House) -> None:
    """It has to hold the key of the stores when a rotation begins."""
    house.watched().by_issuer()
    FakeCopy(house.world).fill(NEW)

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.PAUSED, Reason.UNSYNCED)
    assert "issue" not in house.world.read()["calls"]


@dataclass(frozen=True, slots=True)
class Frozen(FakeCopy):
    """A copy that never follows."""

    def ask(self, mark: str) -> None:
        """Refuse."""
        raise RefusedError(Reason.UNSYNCED, f"never: {mark[-2:]}")


def test_a_copy_that_refuses(house: House) -> None:
    """Then a person has to look at once."""
    house.watched().by_issuer().changes["copies"] = (Frozen(house.world),)

    end = drive(house, house.start())

    assert (end.state, end.back, end.detail) == (State.PAUSED, State.PROMOTED, "never: -0")
