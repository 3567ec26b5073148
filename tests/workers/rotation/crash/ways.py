"""The ways that a rotation can go when a worker is killed: who makes the key, and what goes wrong.

A way is a story: at each of its turns something happens (a person orders, a part fails), and it
ends in one state with certain alerts firing. Told once, it is the same whoever is killed in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.workers.rotation.house import House
from tests.workers.rotation.people import drive, orders
from workers.rotation.config import Mode, OnFailure
from workers.rotation.state import State

HOUR: Final = 3_600.0
OVERLAP: Final = 2 * HOUR
"""Short: every hour of an overlap is the same."""

THIRD: Final = "synap_" + "Third" * 12


class Turn(NamedTuple):
    """What happens when a state is reached."""

    at: State
    act: Callable[[House, str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One story.

    `glass`: the old key goes without overlap and gate, because somebody said so. `watched`:
    applications read a copy of the store, and say which key they use. `may_stand`: with these
    alerts it may stand instead, where going on could do harm.
    """

    issuer: str
    ends: State
    turns: tuple[Turn, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    firing: frozenset[str] = frozenset()
    glass: bool = False
    watched: bool = False
    may_stand: frozenset[str] = frozenset()

    def carry(self, house: House, rotation_id: str) -> int:
        """Carry a rotation to its end; return how many calls were made before the first turn.

        A turn that was taken is not taken again by whoever goes on after a death.
        """
        before = 0
        for number in range(house.world.read()["turned"], len(self.turns)):
            turn = self.turns[number]
            found = drive(house, rotation_id, until=turn.at)
            before = before or len(house.world.read()["calls"])
            if found.state is turn.at:
                house.wait_for(found.lease)
                turn.act(house, rotation_id)
            with house.world.change() as world:
                world["turned"] = number + 1
        drive(house, rotation_id)
        return before


def fault(*names: str) -> Callable[[House, str], object]:
    """Return what makes calls fail from now on."""
    return lambda house, _: house.world.spoil(*names)


def silence(house: House, _: str) -> None:
    """Let an application say nothing for so long that patience is nearly at its end."""
    house.world.spoil("silent")
    house.wait_for(house.clock() + 0.4 * HOUR)


def mended(house: House, _: str) -> None:
    """Let every call work again."""
    house.world.mend()


def ordered_back(house: House, rotation_id: str) -> None:
    """Order the way back."""
    orders(house, house.redis).roll_back(rotation_id, "errors after the change")


def leaked(house: House, rotation_id: str) -> None:
    """Break the glass."""
    orders(house, house.redis).revoke_now(rotation_id, accept_outage=False, why="leaked")


def leaked_badly(house: House, rotation_id: str) -> None:
    """Break the glass and accept an outage."""
    orders(house, house.redis).revoke_now(rotation_id, accept_outage=True, why="leaked")


def three_days_pass(house: House, _: str) -> None:
    """Let the person who is to revoke the key be away."""
    house.world.spoil("hands")
    house.wait_for(house.clock() + 72 * HOUR)


def overwritten(house: House, _: str) -> None:
    """Let somebody else write to the store."""
    house.store.fill(THIRD)


FAILED: Final = frozenset({"SynapRotationFailed"})
BACK: Final = {"on_failure": OnFailure.ROLLBACK}

SMOOTH: Final[Mapping[str, Way]] = {
    "manual": Way(issuer="manual", ends=State.DONE),
    "http, watched": Way(issuer="http", ends=State.DONE, watched=True),
}
"""Nothing goes wrong."""

ROUGH: Final[Mapping[str, Way]] = {
    "the answer with the new key is lost": Way(
        issuer="http",
        ends=State.DONE,
        turns=(Turn(State.MINTING, fault("answer")),),
        changes={"mode": Mode.APPROVE},
    ),
    "the promotion is denied, manual": Way(
        issuer="manual",
        ends=State.ABORTED,
        turns=(Turn(State.STORED_PENDING, fault("promote")),),
    ),
    "the promotion is denied, http": Way(
        issuer="http",
        ends=State.ABORTED,
        turns=(Turn(State.STORED_PENDING, fault("promote")),),
    ),
    "a key that cannot be withdrawn": Way(
        issuer="http",
        ends=State.ORPHAN,
        turns=(Turn(State.STORED_PENDING, fault("promote", "revoke new")),),
        firing=frozenset({"SynapRotationOrphanKey"}),
    ),
    "a rollout that cannot tell whether it began": Way(
        issuer="http",
        ends=State.DONE,
        turns=(Turn(State.PROMOTED, fault("forgetful")),),
        may_stand=FAILED,
    ),
    "the rollout fails and stands": Way(
        issuer="http",
        ends=State.PAUSED,
        turns=(Turn(State.PROMOTED, fault("rollout")),),
        firing=FAILED,
    ),
    "the rollout fails and goes back, manual": Way(
        issuer="manual",
        ends=State.ROLLED_BACK,
        turns=(Turn(State.PROMOTED, fault("rollout")),),
        changes=BACK,
    ),
    "the rollout fails and goes back, http": Way(
        issuer="http",
        ends=State.ROLLED_BACK,
        turns=(Turn(State.PROMOTED, fault("rollout")),),
        changes=BACK,
    ),
    "ordered back, manual": Way(
        issuer="manual",
        ends=State.ROLLED_BACK,
        turns=(Turn(State.OVERLAP, ordered_back),),
    ),
    "ordered back, http": Way(
        issuer="http",
        watched=True,
        ends=State.ROLLED_BACK,
        turns=(Turn(State.OVERLAP, ordered_back),),
    ),
    "the copy stays behind": Way(
        issuer="http",
        ends=State.PAUSED,
        turns=(Turn(State.STORED_PENDING, fault("copy")),),
        firing=FAILED,
        watched=True,
    ),
    "an application says nothing": Way(
        issuer="http",
        ends=State.PAUSED,
        turns=(Turn(State.ROLLED_OUT, silence),),
        firing=FAILED,
        watched=True,
    ),
    "somebody else writes": Way(
        issuer="http",
        ends=State.PAUSED,
        turns=(Turn(State.OVERLAP, overwritten),),
        firing=frozenset({"SynapRotationThirdWriter"}),
    ),
    "a leak in the overlap": Way(
        issuer="http", ends=State.DONE, turns=(Turn(State.OVERLAP, leaked),), glass=True
    ),
    "a leak before the rollout": Way(
        issuer="http", ends=State.DONE, turns=(Turn(State.PROMOTED, leaked),), glass=True
    ),
    "a leak that cannot wait, manual": Way(
        issuer="manual",
        ends=State.DONE,
        turns=(Turn(State.PROMOTED, leaked_badly),),
        glass=True,
        watched=True,
    ),
    "a leak that cannot wait, http": Way(
        issuer="http", ends=State.DONE, turns=(Turn(State.PROMOTED, leaked_badly),), glass=True
    ),
    "the revocation fails": Way(
        issuer="http",
        ends=State.DONE,
        turns=(
            Turn(State.REVOKE_GATE, fault("revoke old")),
            Turn(State.REVOKE_FAILED, mended),
        ),
    ),
    "nobody revokes": Way(
        issuer="manual",
        ends=State.DONE,
        turns=(
            Turn(State.REVOKING, three_days_pass),
            Turn(State.REVOKE_FAILED, mended),
        ),
    ),
}
"""Something goes wrong, before the promotion and after it."""
