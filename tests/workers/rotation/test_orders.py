"""What a person may order, when, and what becomes of it."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.house import NAME, House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import NEW, OLD
from workers.rotation.alerts import firing
from workers.rotation.config import Mode
from workers.rotation.errors import OrderError, Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.record import unbroken
from workers.rotation.state import State

HOUR = 3_600.0


def to(house: House, state: State) -> str:
    """Carry a new rotation to a state and return its id."""
    rotation_id = house.start()
    found = drive(house, rotation_id, until=state)
    assert found.state is state, found
    return rotation_id


def test_start(house: House, redis: Redis) -> None:
    """A person begins a rotation; the history begins with who and why."""
    found = orders(house, redis).start(NAME, why="quarterly")

    [first] = house.book.history(found.id)
    assert (found.state, found.trigger) == (State.PLANNED, "person")
    assert (first.actor, first.detail, first.target) == ("dana", "quarterly", "planned")


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        pytest.param("unknown", Mode.AUTOMATIC, Reason.NOT_CONFIGURED, id="unknown-name"),
        pytest.param(NAME, Mode.OBSERVE, Reason.NOT_CONFIGURED, id="mode-observe"),
    ],
)
def test_start_is_refused(
    house: House, redis: Redis, name: str, mode: Mode, reason: Reason
) -> None:
    """What is not configured for rotation is not begun."""
    house.changes["mode"] = mode

    with pytest.raises(OrderError) as refused:
        orders(house, redis).start(name)

    assert refused.value.reason == reason
    assert house.book.active(NAME) is None


def test_one_at_a_time(house: House, redis: Redis) -> None:
    """The second is told which one is under way."""
    first = orders(house, redis).start(NAME)

    with pytest.raises(OrderError, match=first.short) as refused:
        orders(house, redis).start(NAME)

    assert refused.value.reason == Reason.BUSY


def test_a_held_rotation_keeps_orders_waiting(house: House, redis: Redis) -> None:
    """What a worker has begun, it finishes first."""
    rotation_id = house.start()
    house.book.claim(rotation_id, NOW)

    with pytest.raises(OrderError) as refused:
        orders(house, redis).pause(rotation_id)

    assert refused.value.reason == Reason.BUSY


def test_pause_and_resume(house: House, redis: Redis) -> None:
    """A pause keeps the place, says so to on-call, and ends with the resume."""
    rotation_id = to(house, State.AWAITING_KEY)

    paused = orders(house, redis).pause(rotation_id, "holidays")
    house.machine.advance(rotation_id)
    assert (paused.state, paused.back) == (State.PAUSED, State.AWAITING_KEY)
    assert house.heard.firing() == {"SynapRotationFailed"}
    orders(house, redis).resume(rotation_id)

    assert drive(house, rotation_id).state is State.DONE
    assert house.heard.firing() == set()


@pytest.mark.parametrize(
    "order", ["resume", "approve", "roll_back"], ids=["resume", "approve", "rollback"]
)
def test_what_cannot_be_ordered_now(house: House, redis: Redis, order: str) -> None:
    """An order that has no sense in a state is refused, and the rotation is let go as it was."""
    rotation_id = to(house, State.REVOKING)
    house.changes["mode"] = Mode.AUTOMATIC
    before = house.rotation(rotation_id)

    with pytest.raises(OrderError) as refused:
        getattr(orders(house, redis), order)(rotation_id)

    after = house.rotation(rotation_id)
    assert refused.value.reason == Reason.NOT_NOW
    assert (after.state, after.lease, after.due_at) == (before.state, 0.0, before.due_at)


def test_nothing_is_ordered_after_the_end(house: House, redis: Redis) -> None:
    """A rotation that ended stays as it is."""
    rotation_id = house.start()
    drive(house, rotation_id)

    with pytest.raises(OrderError, match="has ended: done"):
        orders(house, redis).pause(rotation_id)
    with pytest.raises(OrderError, match="has ended: unknown"):
        orders(house, redis).pause("nobody")


def test_extend(house: House, redis: Redis) -> None:
    """Both keys live longer, and the old one is revoked after the new time."""
    rotation_id = to(house, State.OVERLAP)
    before = house.rotation(rotation_id).revoke_at

    orders(house, redis).extend(rotation_id, 24 * HOUR, "a slow customer")
    drive(house, rotation_id)

    assert house.world.read()["revoked_at"][OLD] >= before + 24 * HOUR


def test_extend_needs_an_overlap(house: House, redis: Redis) -> None:
    """Before it there is nothing to extend."""
    rotation_id = to(house, State.AWAITING_KEY)

    with pytest.raises(OrderError, match="no overlap"):
        orders(house, redis).extend(rotation_id, HOUR)


def test_rollback_before_the_promotion_undoes(house: House, redis: Redis) -> None:
    """The key that nobody uses has to be revoked by the person who made it; then it is over."""
    rotation_id = to(house, State.STORED_PENDING)

    orders(house, redis).roll_back(rotation_id)
    end = drive(house, rotation_id)

    assert end.state is State.ABORTED
    assert house.store.held("pending") is None
    assert not house.world.read()["keys"][NEW]["alive"]


def test_rollback_before_there_is_a_key(house: House, redis: Redis) -> None:
    """Nothing was made, so nothing is left."""
    rotation_id = to(house, State.AWAITING_KEY)

    orders(house, redis).roll_back(rotation_id)

    assert drive(house, rotation_id).state is State.ABORTED


def test_an_orphan_needs_hands(house: House, redis: Redis) -> None:
    """A key that nobody revokes within a day is an orphan until somebody does, or says so."""
    rotation_id = to(house, State.STORED_PENDING)
    orders(house, redis).roll_back(rotation_id)

    found = house.run(rotation_id, until=State.ORPHAN)
    assert "SynapRotationOrphanKey" in house.heard.firing()
    assert found.awaits == "withdrawn"
    orders(house, redis).approve(rotation_id)

    assert house.run(rotation_id).state is State.ABORTED
    assert house.heard.firing() == set()


def test_break_the_glass(house: House, redis: Redis) -> None:
    """The old key is revoked at once, without overlap, and it is written down who wanted it."""
    house.by_issuer()
    rotation_id = to(house, State.OVERLAP)
    before = house.clock()

    orders(house, redis).revoke_now(rotation_id, accept_outage=False, why="leaked")
    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert house.world.read()["revoked_at"][OLD] <= before + 60
    line = next(one for one in house.book.history(rotation_id) if one.target == "break_glass")
    assert (line.actor, line.detail) == ("dana", "glass broken: leaked")
    assert {a.labels["severity"] for a in house.heard.alerts if a.ends_at is None} <= {"critical"}


def test_a_broken_glass_still_wants_a_living_new_key(house: House, redis: Redis) -> None:
    """Without an accepted outage the last working key is not revoked."""
    house.by_issuer()
    rotation_id = to(house, State.OVERLAP)
    house.world.answer("new", *["401"] * 500)

    orders(house, redis).revoke_now(rotation_id, accept_outage=False, why="leaked")
    end = drive(house, rotation_id)

    assert (end.state, end.cause) == (State.PAUSED, Reason.NEW_KEY_DEAD)
    assert house.world.read()["keys"][OLD]["alive"]


def test_a_leak_before_the_rollout(house: House, redis: Redis) -> None:
    """Haste skips the overlap, not the applications: they have the new key first."""
    house.by_issuer()
    rotation_id = to(house, State.PROMOTED)

    orders(house, redis).revoke_now(rotation_id, accept_outage=False, why="leaked")
    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert "overlap" not in house.path(rotation_id)
    restarted = {name: one["stamps"] for name, one in house.world.read()["workloads"].items()}
    assert restarted == {name: [rotation_id] for name in ("canary", "api", "worker")}


def test_a_leak_that_cannot_wait(house: House, redis: Redis) -> None:
    """With an accepted outage everything restarts at once and the old key goes."""
    house.by_issuer()
    rotation_id = to(house, State.PROMOTED)
    before = house.clock()

    orders(house, redis).revoke_now(rotation_id, accept_outage=True, why="leaked")
    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert house.world.read()["revoked_at"][OLD] == before
    assert set(house.world.read()["workloads"]) == {"canary", "api", "worker"}


def test_an_urgent_start(house: House, redis: Redis) -> None:
    """A rotation begun for a leak has no overlap."""
    found = orders(house, redis).start(NAME, urgent=True, why="leaked")

    end = drive(house, found.id)

    assert end.state is State.DONE
    assert "overlap" not in house.path(found.id)


def test_the_history_is_whole(house: House, redis: Redis) -> None:
    """From the first line to the last each is bound to the one before it."""
    found = orders(house, redis).start(NAME)

    drive(house, found.id)

    lines = house.book.history(found.id)
    assert unbroken(lines)
    assert {line.actor for line in lines} == {"dana", "synap-hooks"}


def test_submit_needs_somebody_who_waits(house: House, redis: Redis) -> None:
    """A key that nobody asked for is refused before it is looked at."""
    rotation_id = to(house.by_issuer(), State.OVERLAP)

    with pytest.raises(OrderError) as refused:
        orders(house, redis).submit(rotation_id, Secret(NEW))

    assert refused.value.reason == Reason.NOT_NOW


def test_a_pause_says_where_it_stands_and_what_can_be_ordered(house: House, redis: Redis) -> None:
    """Going back is offered only from where there is a way back."""
    rotation_id = to(house, State.OVERLAP)
    orders(house, redis).pause(rotation_id, "holidays")
    [paused] = firing(house.rotation(rotation_id), house.credential, house.clock())
    orders(house, redis).roll_back(rotation_id)
    [undone] = firing(house.rotation(rotation_id), house.credential, house.clock())

    assert paused.summary == "production stands at overlap: holidays"
    assert "rotation rollback" in paused.then
    assert "rotation rollback" not in undone.then
    assert "rotation resume" not in undone.then
