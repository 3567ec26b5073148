"""Drives a rotation to its end, with the person whom it asks now and then."""

from __future__ import annotations

from redis import Redis

from receiver.broker import Keys
from tests.workers.rotation.house import HEAR_LUA, PREFIX, House
from tests.workers.rotation.world import NEW, OLD
from workers.ledger.transitions import Ledger
from workers.rotation.book import rotate_lua
from workers.rotation.errors import OrderError
from workers.rotation.fingerprint import Secret
from workers.rotation.orders import Orders
from workers.rotation.record import Rotation
from workers.rotation.state import TERMINAL, State
from workers.rotation.work import PROMOTE, REVOKE, REVOKED_BY_HAND, WITHDRAWN_BY_HAND, Hand

STANDING = frozenset({State.PAUSED, State.ORPHAN})


def orders(house: House, redis: Redis, *, actor: str = "dana") -> Orders:
    """Return the orders of a person, who does not wait for workers."""
    fragments = [HEAR_LUA, rotate_lua()]
    ledger = Ledger(redis, Keys(PREFIX), dedup_window=1.0, fragments=fragments)
    return Orders(
        machine=house.machine,
        ledger=ledger,
        prefix=PREFIX,
        actor=actor,
        patience=0.0,
        sleep=lambda _: None,
    )


class Person:
    """Does what alerts ask for: makes keys, submits, approves, revokes in the Dashboard."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._orders = orders(house, house.redis)

    def help(self, rotation: Rotation) -> bool:
        """Do what is asked, if anything is; say whether something was done."""
        if rotation.state is State.AWAITING_KEY:
            return self._submit(rotation)
        if rotation.awaits in {PROMOTE, REVOKE}:
            self._orders.approve(rotation.id)
            return True
        if self._house.world.spoiled("hands"):
            return False
        if rotation.awaits == REVOKED_BY_HAND and self._alive(OLD):
            self._house.world.kill_key(OLD)
        if rotation.awaits == WITHDRAWN_BY_HAND:
            return self._withdraw(rotation)
        return False

    def _withdraw(self, rotation: Rotation) -> bool:
        """Revoke the new key; where nothing keeps it any more, nobody sees that but this person."""
        if self._alive(NEW):
            self._house.world.kill_key(NEW)
            return False
        self._orders.approve(rotation.id)
        return True

    def _submit(self, rotation: Rotation) -> bool:
        if NEW not in self._house.world.read()["keys"]:
            self._house.world.add_key(NEW, key_id="key_new")
        try:
            self._orders.submit(rotation.id, Secret(NEW))
        except OrderError:
            return False
        return True

    def _alive(self, value: str) -> bool:
        key = self._house.world.read()["keys"].get(value)
        return bool(key and key["alive"])


def drive(house: House, rotation_id: str, *, until: State | None = None) -> Rotation:
    """Carry a rotation to its end, or to where it stands, with a person's help.

    `until` names a state to stop at.
    """
    person = Person(house)
    stop_at = frozenset({until}) if until else frozenset()
    for _ in range(600):
        found = house.rotation(rotation_id)
        if found.state in TERMINAL | STANDING or found.state is until:
            return found
        house.wait_for(found.lease)
        if not person.help(found):
            house.wait_for(max(found.due_at, found.lease))
            held = house.book.claim(rotation_id, house.clock())
            if held is not None:
                house.machine.carry_on(held, Hand(), stop_at=stop_at)
    raise AssertionError(f"no end: {house.rotation(rotation_id)}")
