"""Keys, stores and answers that are not as they should be: a named refusal, nothing spoilt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import CLIENT, INSTANCE, NEW, OLD, FakeRollout
from workers.rotation.errors import (
    OrderError,
    Reason,
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


@pytest.mark.parametrize(
    ("value", "instance", "answers", "reason"),
    [
        pytest.param("not a key", INSTANCE, [], Reason.WRONG_SHAPE, id="no-key"),
        pytest.param("synap_short", INSTANCE, [], Reason.WRONG_SHAPE, id="wrong-shape"),
        pytest.param(NEW + "\n" + NEW, INSTANCE, [], Reason.WRONG_SHAPE, id="pasted-twice"),
        pytest.param(OLD, INSTANCE, [], Reason.SAME_KEY, id="same-key-again"),
        pytest.param(NEW, "inst_ffffffffffffffff", [], Reason.OTHER_IDENTITY, id="other-instance"),
        pytest.param(NEW, INSTANCE, ["401"], Reason.NEW_KEY_DEAD, id="dead"),
        pytest.param(NEW, INSTANCE, ["402"], Reason.IDENTITY_UNPROVEN, id="no-credits-no-identity"),
        pytest.param(NEW, INSTANCE, ["403"], Reason.FORBIDDEN, id="forbidden"),
        pytest.param(NEW, INSTANCE, ["429"], Reason.RATE_LIMITED, id="rate-limited"),
        pytest.param(NEW, INSTANCE, ["500"], Reason.SERVER_ERROR, id="synap-ill"),
    ],
)
def test_a_bad_key_is_refused_by_name(
    house: House, value: str, instance: str, answers: list[str], reason: Reason
) -> None:
    """Nothing is stored, the rotation waits on, and the history says why."""
    rotation_id = to(house, State.AWAITING_KEY)
    house.world.add_key(NEW, key_id="key_new", instance_id=instance)
    house.world.answer(value, *answers)

    with pytest.raises(OrderError) as refused:
        orders(house, house.redis).submit(rotation_id, Secret(value))

    assert refused.value.reason == reason
    assert house.store.held("pending") is None
    assert house.store.held() == OLD
    assert house.rotation(rotation_id).state is State.AWAITING_KEY
    assert house.book.history(rotation_id)[-1].reason == reason


def test_the_same_key_is_accepted_twice(house: House, redis: Redis) -> None:
    """A person who is not sure may submit it again."""
    rotation_id = to(house, State.STORED_PENDING)
    calls = len(house.world.read()["calls"])

    found = orders(house, redis).submit(rotation_id, Secret(NEW))

    assert found.state is State.STORED_PENDING
    assert len(house.world.read()["calls"]) == calls


def test_a_refused_key_leaves_room_for_the_right_one(house: House, redis: Redis) -> None:
    """After another instance's key, the right one is taken."""
    rotation_id = to(house, State.AWAITING_KEY)
    house.world.answer(NEW, "other")
    house.world.add_key(NEW, key_id="key_new")
    with pytest.raises(OrderError):
        orders(house, redis).submit(rotation_id, Secret(NEW))

    assert drive(house, rotation_id).state is State.DONE


@pytest.mark.parametrize("answer", ["", "402"])
def test_no_credits_is_not_a_dead_key(house: House, answer: str) -> None:
    """402 for a key that our own issuer made is an answer of a key that lives."""
    house.by_issuer()
    house.world.answer("new", answer)
    house.changes |= {"client_id": CLIENT, "instance_id": INSTANCE}

    assert house.run(house.start()).state is State.DONE


def test_without_anything_that_says_whose_key_it_is(house: House) -> None:
    """A dead old key and no identity anywhere: nothing is made before a person decides."""
    house.world.kill_key(OLD)
    rotation_id = house.start()
    found = house.rotation(rotation_id)
    anonymous = replace(found, instance_id="", client_id="")
    house.redis.set(f"synap:rotation:record:{rotation_id}", anonymous.to_wire())

    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.IDENTITY_UNPROVEN)


def test_a_dead_old_key_makes_haste(house: House) -> None:
    """No overlap is possible: on-call is paged, and the rotation goes on without one."""
    house.by_issuer()
    house.changes |= {"client_id": CLIENT, "instance_id": INSTANCE}
    house.world.kill_key(OLD)

    end = house.run(house.start())

    assert end.state is State.DONE
    assert "overlap" not in house.path(end.id)
    assert "SynapRotationOldKeyDead" in {alert.name for alert in house.heard.alerts}
    assert house.heard.firing() == set()


def test_the_current_key_of_another_instance(house: House) -> None:
    """A store that holds another instance's key is not touched."""
    house.changes["instance_id"] = "inst_aaaaaaaaaaaaaaaa"

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.PAUSED, Reason.OTHER_IDENTITY)
    assert house.heard.firing() == {"SynapRotationVerifyFailed"}


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        pytest.param(["401"], State.DONE, id="once"),
        pytest.param(["401", "", "401", ""], State.DONE, id="now-and-then"),
        pytest.param(["401"] * 3, State.PAUSED, id="three-times-running"),
        pytest.param(["500"] * 9, State.DONE, id="ill-for-a-while"),
        pytest.param(["402"] * 3, State.DONE, id="out-of-credits"),
    ],
)
def test_whoami_that_flaps_in_the_overlap(house: House, answers: list[str], state: State) -> None:
    """One bad answer decides nothing; the same one three times, a minute apart, stops the clock."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    new = house.store.held()
    assert new is not None
    house.world.answer(new, *answers)

    end = drive(house, rotation_id)

    assert end.state is state
    assert house.world.read()["keys"][OLD]["alive"] is (state is State.PAUSED)
    if state is State.PAUSED:
        assert end.cause == Reason.NEW_KEY_DEAD
        assert house.heard.firing() == {"SynapRotationVerifyFailed"}


def test_after_a_dead_new_key_the_overlap_begins_anew(house: House, redis: Redis) -> None:
    """The clock stops: what is resumed is verified again, and overlaps for the whole time."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    new = house.store.held()
    assert new is not None
    house.wait_for(house.clock() + 40 * HOUR)
    house.world.answer(new, "401", "401", "401")
    assert drive(house, rotation_id).state is State.PAUSED
    resumed_at = house.clock()

    orders(house, redis).resume(rotation_id)
    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert house.world.read()["revoked_at"][OLD] >= resumed_at + 48 * HOUR


def test_an_old_key_that_is_revoked_elsewhere(house: House) -> None:
    """The rotation takes note and ends; on-call is told that it was not ours."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    house.world.kill_key(OLD)

    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert "revoke_gate" not in house.path(rotation_id)
    changes = [alert.labels.get("change") for alert in house.heard.alerts]
    assert "revoked_elsewhere" in changes


def test_a_clock_that_is_wrong_revokes_nothing(house: House) -> None:
    """When this clock and that of Redis differ, the gate holds until they agree."""
    rotation_id = to(house.by_issuer(), State.REVOKE_GATE)
    machine = house.machine
    skewed = replace(machine, world=replace(machine.world, authority=lambda: NOW))

    for _ in range(3):
        house.wait_for(house.rotation(rotation_id).due_at)
        skewed.advance(rotation_id)

    found = house.rotation(rotation_id)
    assert (found.state, found.reason) == (State.REVOKE_GATE, Reason.CLOCK_SKEW)
    assert drive(house, rotation_id).state is State.DONE


def test_a_new_key_that_synap_never_knows(house: House) -> None:
    """A fresh key is asked for again for a minute; then it is revoked and dropped."""
    house.by_issuer()
    house.world.answer("new", *["401"] * 20)

    end = drive(house, house.start())

    assert end.state is State.ABORTED
    assert house.store.held() == OLD


def test_no_way_back_to_a_dead_key(house: House, redis: Redis) -> None:
    """A rollback that would end at a dead key is not begun."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    house.world.kill_key(OLD)
    new = house.store.held()

    orders(house, redis).roll_back(rotation_id)
    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.OLD_KEY_DEAD)
    assert house.store.held() == new


def test_a_bug_of_a_port_is_no_loop(house: House) -> None:
    """What an SDK raises is counted as a failure, without its text, and ends."""

    class Broken(FakeRollout):
        def waves(self) -> tuple[tuple[str, ...], ...]:
            raise ValueError(f"leaks {OLD}")

    house.by_issuer().changes["rollout"] = Broken(house.world)

    end = drive(house, house.start())

    assert (end.state, end.cause, end.detail) == (State.PAUSED, Reason.BUG, "ValueError")
