"""Applications that say which key they use: judged before the overlap, and at the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from redis import Redis

from tests.workers.rotation.bystanders import FakeWitness
from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import OLD
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import Secret, shown
from workers.rotation.ports import Side
from workers.rotation.state import State


def to(house: House, state: State) -> str:
    """Carry a new rotation to a state and return its id."""
    rotation_id = house.watched().by_issuer().start()
    found = drive(house, rotation_id, until=state)
    assert found.state is state, found
    return rotation_id


def test_what_an_application_shows() -> None:
    """As `printf %s synap_example | openssl dgst -sha256 -hmac synap-hooks` prints it."""
    assert shown(Secret("synap_example")) == "1dab63064b0748d0"


def test_every_application_says_that_it_uses_the_new_key(house: House) -> None:
    """They are asked at the start, after the rollout, and at the gate."""
    to(house, State.DONE)

    calls = house.world.read()["calls"]
    asked = [number for number, call in enumerate(calls) if call == "attest"]
    started = [number for number, call in enumerate(calls) if call == "start"]
    assert asked[0] < started[0]
    assert started[-1] < asked[1]
    assert len(asked) >= 3


def test_one_that_does_not_say_so_pauses_the_rotation(house: House, redis: Redis) -> None:
    """After half an hour a person has to look; the old key lives, and resuming asks again."""
    rotation_id = to(house, State.ROLLED_OUT)
    house.world.spoil("silent")

    end = drive(house, rotation_id)

    assert (end.state, end.back, end.cause) == (State.PAUSED, State.ROLLED_OUT, Reason.UNATTESTED)
    assert end.detail == "1 of 3 instances do not show the new key: api (nothing)"
    assert house.world.read()["keys"][OLD]["alive"]
    house.world.mend()
    orders(house, redis).resume(rotation_id)
    assert drive(house, rotation_id).state is State.DONE


def test_an_application_that_fell_back_keeps_the_gate_shut(house: House) -> None:
    """Such as one that another rollout gave the old key again."""
    rotation_id = to(house, State.REVOKE_GATE)
    with house.world.change() as world:
        new, world["workloads"]["worker"]["reads"] = world["workloads"]["worker"]["reads"], OLD

    house.wait_for(house.rotation(rotation_id).due_at)
    house.machine.advance(rotation_id)

    found = house.rotation(rotation_id)
    assert (found.state, found.reason) == (State.REVOKE_GATE, Reason.NOT_NOW)
    assert found.detail == "1 of 3 instances do not show the new key: worker (the old key)"
    with house.world.change() as world:
        world["workloads"]["worker"]["reads"] = new
    assert drive(house, rotation_id).state is State.DONE


@dataclass(frozen=True, slots=True)
class Said(FakeWitness):
    """Says always the same."""

    said: Mapping[str, Side] = field(default_factory=dict)

    def ask(self, new: str, old: str) -> Mapping[str, Side]:
        """Return it."""
        del new, old
        return self.said


@pytest.mark.parametrize(
    ("said", "state"),
    [
        pytest.param({"a": Side.THIRD, "b": Side.THIRD}, State.PAUSED, id="nobody"),
        pytest.param({"a": Side.OLD, "b": Side.THIRD}, State.AWAITING_KEY, id="one"),
        pytest.param({}, State.AWAITING_KEY, id="nobody-runs"),
    ],
)
def test_a_wrong_attestation_is_noticed_before_anything_is_made(
    house: House, said: Mapping[str, Side], state: State
) -> None:
    """When a rotation begins, somebody who runs has to show the current key."""
    house.changes["witness"] = Said(house.world, said)

    found = drive(house, house.start(), until=State.AWAITING_KEY)

    assert found.state is state
    assert (found.cause == Reason.UNATTESTED) is (state is State.PAUSED)
