"""The rarer turns of each step: what they lead to, and what they leave alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.build import NOW
from tests.workers.rotation.fake_store import FakeStore
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import NEW, OLD, FakeIssuer
from workers.rotation.errors import PermanentError, PortError, Reason, RefusedError
from workers.rotation.fingerprint import Secret
from workers.rotation.freeze import Freeze, Window
from workers.rotation.ports import Issued, Pair
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


@dataclass(frozen=True, slots=True)
class Stubborn(FakeStore):
    """A store that keeps a key pending but does not promote it."""

    error: PortError | None = None

    def promote(self, pair: Pair, token: str) -> None:
        """Refuse."""
        del pair, token
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("answers", "reason", "state"),
    [
        pytest.param(["403"], Reason.FORBIDDEN, State.PAUSED, id="old-key-forbidden"),
        pytest.param(["500"], Reason.SERVER_ERROR, State.LOCKED, id="synap-ill"),
    ],
)
def test_looking_at_the_old_key(
    house: House, answers: list[str], reason: Reason, state: State
) -> None:
    """What Synap does not say now is asked again; what it will never say needs a person."""
    rotation_id = to(house, State.LOCKED)
    house.world.answer(OLD, *answers)

    found = step(house, rotation_id)

    assert (found.state, found.reason) == (state, reason)


def test_an_empty_store(house: House) -> None:
    """There has to be a live key to begin with."""
    house.changes["stores"] = (house.store, FakeStore(house.world, "empty"))

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.PAUSED, Reason.NOT_FOUND)


def test_a_key_that_waits_already(house: House) -> None:
    """A pending slot that somebody else filled is left alone."""
    with house.world.change() as world:
        world["stores"]["main"]["pending"] = NEW

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.PAUSED, Reason.ANOTHER_KEY_WAITS)
    assert house.store.held("pending") == NEW


@dataclass(frozen=True, slots=True)
class Odd(FakeIssuer):
    """An issuer that answers with something else than a new key."""

    value: str = ""

    def issue(self, name: str, token: str) -> Issued:
        """Make a key and answer with another text."""
        return FakeIssuer.issue(self, name, token)._replace(value=Secret(self.value))


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        pytest.param("nonsense", Reason.WRONG_SHAPE, id="no-key"),
        pytest.param(OLD, Reason.SAME_KEY, id="the-old-key"),
    ],
)
def test_an_issuer_that_answers_oddly(house: House, value: str, cause: Reason) -> None:
    """What it made is revoked again, and never the old key."""
    house.changes["issuer"] = Odd(house.world, value=value)

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.ABORTED, cause)
    assert [key["id"] for key in house.world.read()["keys"].values() if key["alive"]] == ["key_old"]


def test_a_freeze_before_the_promotion(house: House) -> None:
    """A key that waits goes on waiting until the freeze is over."""
    rotation_id = to(house, State.STORED_PENDING)
    end_of_freeze = house.clock() + 5 * HOUR
    house.changes["freezes"] = (Freeze("f", fixed=Window(NOW - HOUR, end_of_freeze)),)

    found = step(house, rotation_id)

    assert (found.reason, found.due_at) == (Reason.FROZEN, end_of_freeze)
    assert drive(house, rotation_id).promoted_at >= end_of_freeze


def test_a_freeze_between_waves(house: House) -> None:
    """Both keys are valid: what was not begun waits."""
    rotation_id = to(house.by_issuer(), State.RESTARTING)
    house.changes["freezes"] = (Freeze("f", fixed=Window(NOW - HOUR, NOW + HOUR)),)

    found = step(house, rotation_id)

    assert (found.reason, found.begun) == (Reason.FROZEN, 0)


def test_a_pending_slot_that_was_emptied(house: House) -> None:
    """The key is gone, so the person is asked for one again."""
    rotation_id = to(house, State.STORED_PENDING)
    with house.world.change() as world:
        world["stores"]["main"]["pending"] = None

    found = step(house, rotation_id)

    assert found.state is State.MINTING
    assert drive(house, rotation_id).state is State.DONE


def test_a_new_key_that_dies_while_it_waits(house: House) -> None:
    """It is not promoted; what is left of it is removed."""
    rotation_id = to(house, State.STORED_PENDING)
    house.world.kill_key(NEW)

    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.ABORTED, Reason.NEW_KEY_DEAD)
    assert (house.store.held(), house.store.held("pending")) == (OLD, None)


def test_a_key_that_is_forbidden_while_it_waits(house: House) -> None:
    """A person has to look at what Synap allows it."""
    rotation_id = to(house, State.STORED_PENDING)
    house.world.answer(NEW, "403")

    found = step(house, rotation_id)

    assert (found.state, found.cause) == (State.PAUSED, Reason.FORBIDDEN)


@pytest.mark.parametrize(
    ("first", "state"),
    [
        pytest.param(True, State.ABORTED, id="the-first-store"),
        pytest.param(False, State.PAUSED, id="the-second-store"),
    ],
)
def test_a_promotion_that_is_refused(house: House, *, first: bool, state: State) -> None:
    """Before anything was promoted it is undone; half-way a person has to decide."""
    error = RefusedError(Reason.IMMUTABLE, "immutable")
    stubborn = Stubborn(house.world, "stubborn", error=error)
    stubborn.fill(OLD)
    stores = (stubborn, house.store) if first else (house.store, stubborn)
    house.by_issuer().changes["stores"] = stores

    end = drive(house, house.start())

    assert (end.state, end.cause) == (state, Reason.IMMUTABLE)
    assert (house.store.held() == OLD) is first


def test_a_promotion_that_does_not_show(house: House) -> None:
    """A store that says yes and does nothing is rolled back with the others."""
    silent = Stubborn(house.world, "silent")
    silent.fill(OLD)
    house.by_issuer().changes["stores"] = (house.store, silent)

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.ABORTED, Reason.UNFAITHFUL)
    assert (house.store.held(), silent.held()) == (OLD, OLD)


def test_an_error_that_tells_too_much_is_masked(house: House) -> None:
    """Whatever a store says, what looks like a credential reaches neither record nor history."""
    error = PermanentError(Reason.DENIED, f"cannot write {OLD}")
    house.by_issuer().changes["stores"] = (replace(house.store, broken=error),)

    rotation_id = house.start()
    drive(house, rotation_id)

    said = [line.detail for line in house.book.history(rotation_id)]
    assert "cannot write synap_***" in said
    assert not any(OLD in line for line in said)


def test_a_step_at_which_every_worker_dies(house: House) -> None:
    """After eight of them a person has to look why; whoever resumes tries it again."""
    rotation_id = to(house, State.LOCKED)
    for _ in range(8):
        house.wait_for(house.rotation(rotation_id).lease)
        house.wait_for(house.rotation(rotation_id).due_at)
        assert house.book.claim(rotation_id, house.clock()) is not None
    house.wait_for(house.rotation(rotation_id).lease)

    found = step(house, rotation_id)

    assert (found.state, found.back, found.cause) == (
        State.PAUSED, State.LOCKED, Reason.WORKER_LOST,
    )  # fmt: skip
    assert house.heard.firing() == {"SynapRotationFailed"}
    orders(house, house.redis).resume(rotation_id)
    assert drive(house, rotation_id).state is State.DONE
