"""The rarer turns after the promotion: what they lead to, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.house import NAME, House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import OLD
from workers.rotation.config import OnFailure
from workers.rotation.errors import OvertakenError, PermanentError, Reason
from workers.rotation.record import Rotation
from workers.rotation.state import State
from workers.rotation.work import Hand

HOUR = 3_600.0


def to(house: House, state: State) -> str:
    """Carry a new rotation to a state and return its id."""
    rotation_id = house.start()
    found = drive(house, rotation_id, until=state)
    assert found.state is state, found
    return rotation_id


def step(house: House, rotation_id: str) -> Rotation:
    """Take the next look when it is due, and nothing after it."""
    house.wait_for(house.rotation(rotation_id).due_at)
    held = house.book.claim(rotation_id, house.clock())
    assert held is not None
    machine, hand = house.machine, Hand()
    return machine.write(held, machine.step(held, hand), release=True)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        pytest.param("403", Reason.FORBIDDEN, id="forbidden"),
        pytest.param("other", Reason.OTHER_IDENTITY, id="other-identity"),
    ],
)
def test_verification_that_fails(house: House, answer: str, cause: Reason) -> None:
    """The key that the stores give has to be ours."""
    rotation_id = to(house.by_issuer(), State.ROLLED_OUT)
    house.world.answer("new", answer)

    found = step(house, rotation_id)

    assert (found.state, found.cause) == (State.PAUSED, cause)


def test_verification_that_fails_goes_back_if_so_configured(house: House) -> None:
    """A key that is dead after the rollout is replaced by the old one."""
    rotation_id = to(house.by_issuer(), State.ROLLED_OUT)
    house.changes["on_failure"] = OnFailure.ROLLBACK
    house.world.answer("new", *["401"] * 40)

    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.ROLLED_BACK, Reason.NEW_KEY_DEAD)
    assert house.store.held() == OLD


def test_a_stale_read_is_no_third_writer(house: House) -> None:
    """A store that answers with the past once is asked again; for good, a person looks."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    new = house.store.held()
    house.store.fill(OLD)
    assert step(house, rotation_id).state is State.OVERLAP
    assert new is not None
    house.store.fill(new)
    assert step(house, rotation_id).strikes == 0

    house.store.fill(OLD)
    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.UNFAITHFUL)


def test_another_identity_in_the_overlap(house: House) -> None:
    """A new key that suddenly belongs elsewhere is looked at by a person."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    house.world.answer("new", "other")

    found = step(house, rotation_id)

    assert (found.state, found.cause) == (State.PAUSED, Reason.OTHER_IDENTITY)


def test_the_way_back_waits_for_synap(house: House, redis: Redis) -> None:
    """Whether the old key lives has to be known before anything goes back to it."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    orders(house, redis).roll_back(rotation_id)
    house.world.answer(OLD, "500")
    step(house, rotation_id)

    found = step(house, rotation_id)

    assert (found.state, found.reason) == (State.ROLLING_BACK, Reason.SERVER_ERROR)
    assert house.store.held() != OLD


def test_no_way_back_without_the_old_key(house: House, redis: Redis) -> None:
    """A store that does not keep it any more cannot give it back."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)
    with house.world.change() as world:
        world["stores"]["main"]["previous"] = None

    orders(house, redis).roll_back(rotation_id)
    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.KEY_LOST)


def test_a_revoked_key_that_is_still_answered(house: House) -> None:
    """After an hour on-call is paged, and it is revoked again."""
    house.by_issuer()
    rotation_id = to(house, State.REVOKED)
    with house.world.change() as world:
        world["keys"][OLD]["alive"] = True

    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert "revoke_failed" in house.path(rotation_id)


def test_a_new_key_that_dies_with_the_old_one(house: House) -> None:
    """Then nothing works any more, and a person is paged at once."""
    rotation_id = to(house.by_issuer(), State.REVOKED)
    house.world.answer("new", *["401"] * 9)

    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.NEW_KEY_DEAD)
    assert house.heard.firing() == {"SynapRotationVerifyFailed"}


def test_an_old_key_that_cannot_be_asked_for(house: House) -> None:
    """Where no store keeps it, the revocation is taken as told."""
    rotation_id = to(house.by_issuer(), State.REVOKED)
    with house.world.change() as world:
        world["stores"]["main"]["previous"] = None

    assert drive(house, rotation_id).state is State.DONE


def test_a_revocation_by_hand_that_cannot_be_watched(house: House, redis: Redis) -> None:
    """The person who did it says so."""
    rotation_id = to(house, State.REVOKING)
    with house.world.change() as world:
        world["stores"]["main"]["previous"] = None
    assert step(house, rotation_id).awaits == "revoked"

    orders(house, redis).approve(rotation_id)

    assert drive(house, rotation_id).state is State.DONE


def test_the_issuer_never_revokes_the_new_key_for_the_old_one(house: House) -> None:
    """Two keys of one id are a mistake that a person has to look at."""
    rotation_id = to(house.by_issuer(), State.REVOKING)
    found = house.rotation(rotation_id)
    wrong = replace(found, key_id=found.old_key_id)
    house.redis.set(f"synap:rotation:record:{rotation_id}", wrong.to_wire())

    found = step(house, rotation_id)

    assert (found.state, found.reason) == (State.REVOKE_FAILED, Reason.SAME_KEY)


def test_leftovers_that_cannot_be_removed(house: House) -> None:
    """The old key is dead: what remains of it spoils nothing, and the rotation is done."""
    rotation_id = to(house.by_issuer(), State.CONFIRMED)
    broken = replace(house.store, broken=PermanentError(Reason.DENIED, "no"))
    house.changes["stores"] = (broken,)

    found = step(house, rotation_id)

    assert (found.state, found.reason) == (State.DONE, Reason.DENIED)


def test_a_worker_that_was_overtaken_stops(house: House) -> None:
    """What it still wanted to write is refused, and it says so in the log alone."""
    rotation_id = house.start()
    held = house.book.claim(rotation_id, NOW)
    assert held is not None
    house.wait_for(held.lease)
    house.machine.advance(rotation_id)

    with pytest.raises(OvertakenError):
        house.machine.carry_on(held, Hand())


def test_what_is_held_or_gone_is_left_alone(house: House) -> None:
    """A second job of the same deadline does nothing."""
    rotation_id = house.start()
    house.book.claim(rotation_id, NOW)

    house.machine.advance(rotation_id)
    house.machine.advance("nobody")

    assert house.rotation(rotation_id).state is State.PLANNED


def test_a_paused_rotation_survives_its_configuration(house: House) -> None:
    """A credential that was taken out of the configuration can still be looked at."""
    rotation_id = to(house, State.AWAITING_KEY)
    orders(house, house.redis).pause(rotation_id)
    house.changes["name"] = "renamed"

    found = step(house, rotation_id)

    assert found.state is State.PAUSED
    assert house.book.active(NAME) is not None
