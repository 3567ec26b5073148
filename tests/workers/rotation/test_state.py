"""The table, tried with every state and every outcome."""

from __future__ import annotations

from itertools import product

import pytest

from workers.metrics import ROTATION_STATES
from workers.rotation.pace import RULES, delay, key_deadline, spent
from workers.rotation.state import (
    BEFORE_PROMOTION,
    ORDERS,
    TABLE,
    TERMINAL,
    WAY_BACK,
    Outcome,
    State,
    back_to,
    move,
)
from workers.rotation.steps import STEPS

EVERY = pytest.mark.parametrize("state", list(State))
WAY = (
    State.PLANNED, State.LOCKED, State.INTENT, State.MINTING, State.MINTED, State.PREVERIFIED,
    State.STORED_PENDING, State.PROMOTED, State.RESTARTING, State.ROLLED_OUT, State.VERIFIED,
    State.OVERLAP, State.REVOKE_GATE, State.REVOKING, State.REVOKED, State.CONFIRMED, State.DONE,
)  # fmt: skip


def test_the_table_is_total() -> None:
    """Every outcome in every state leads to one known state."""
    assert set(TABLE) == set(product(State, Outcome))
    assert {moved.state for moved in TABLE.values()} == set(State)


@EVERY
def test_an_end_is_an_end(state: State) -> None:
    """Nothing leads out of a terminal state, and only a terminal one has no step."""
    assert (state in STEPS) == (state not in TERMINAL)
    if state in TERMINAL:
        assert {TABLE[state, outcome] for outcome in Outcome} == {(state, False)}


@EVERY
def test_revoking_comes_through_the_gate_or_through_broken_glass(state: State) -> None:
    """No other state leads to REVOKING; a pause leads back to where it came from."""
    leading = {one for one in Outcome if TABLE[state, one].state is State.REVOKING}
    allowed = {State.REVOKE_GATE, State.BREAK_GLASS}

    if state is not State.REVOKING:
        assert leading == ({Outcome.OK} if state in allowed else set())


@EVERY
def test_done_comes_from_confirmed(state: State) -> None:
    """A rotation is done only after the old key was seen dead."""
    leads = any(TABLE[state, outcome].state is State.DONE for outcome in Outcome)

    assert leads == (state in {State.CONFIRMED, State.DONE})


@EVERY
def test_what_cannot_be_goes_to_a_person(state: State) -> None:
    """A step that ends impossibly pauses the rotation; an impossible order changes nothing."""
    for outcome in Outcome:
        moved = TABLE[state, outcome]
        if not moved.valid and state not in TERMINAL:
            assert moved.state is (state if outcome in ORDERS else State.PAUSED)


@EVERY
def test_failures_before_the_promotion_are_undone_and_later_ones_wait(state: State) -> None:
    """A final failure never goes on, and after the promotion it never undoes by itself."""
    led = TABLE[state, Outcome.FAILED].state
    if state in WAY_BACK:
        assert led is State.PAUSED
    if state in BEFORE_PROMOTION:
        assert led in {State.PAUSED, State.COMPENSATING}


def test_the_way_is_the_drawn_one() -> None:
    """OK upon OK leads from PLANNED to DONE."""
    found = [State.PLANNED]
    while found[-1] not in TERMINAL:
        found.append(move(found[-1], Outcome.OK).state)

    assert tuple(found) == WAY


@pytest.mark.parametrize("state", [state for state in State if state not in TERMINAL])
def test_every_living_state_can_be_paused_and_resumed(state: State) -> None:
    """RESUME leads back to where the pause began."""
    if state is State.PAUSED:
        return
    assert move(state, Outcome.PAUSE).state is State.PAUSED
    assert move(State.PAUSED, Outcome.RESUME, back=state).state is state


@pytest.mark.parametrize("state", [state for state in State if state not in TERMINAL])
def test_a_paused_rotation_takes_the_orders_of_where_it_stands(state: State) -> None:
    """ROLL_BACK and BREAK_GLASS work from a pause exactly where they work without it."""
    for order in (Outcome.ROLL_BACK, Outcome.BREAK_GLASS):
        plain = move(state, order)
        paused = move(State.PAUSED, order, back=state)
        if state is not State.PAUSED:
            assert paused.valid == plain.valid
            assert paused.state is (plain.state if plain.valid else State.PAUSED)


def test_resume_needs_somewhere_to_go() -> None:
    """Without a place to go back to, RESUME is no order."""
    assert move(State.PAUSED, Outcome.RESUME) == (State.PAUSED, False)


def test_a_new_key_that_died_is_verified_anew() -> None:
    """After such a pause the overlap does not count any more."""
    assert back_to(State.OVERLAP, Outcome.NEW_DEAD) is State.ROLLED_OUT
    assert back_to(State.OVERLAP, Outcome.PAUSE) is State.OVERLAP


def test_every_state_has_its_pace() -> None:
    """Every state has a rule, and every living one a first delay."""
    assert set(RULES) == set(State)
    assert all(delay(state, 1) > 0 for state in State if state not in TERMINAL)


def test_pace_slows_down_and_patience_ends() -> None:
    """The last delay repeats; patience counts from the entry into the state."""
    assert [delay(State.MINTING, n) for n in (1, 2, 3, 4, 9)] == [60, 300, 1800, 7200, 7200]
    assert spent(State.MINTED, entered_at=0, now=1800)
    assert not spent(State.MINTED, entered_at=0, now=1799)
    assert not spent(State.OVERLAP, entered_at=0, now=1e9)


@pytest.mark.parametrize(
    ("expires_at", "deadline"),
    [
        pytest.param(0.0, 7 * 86_400.0, id="unknown-a-week"),
        pytest.param(30 * 86_400.0, 7 * 86_400.0, id="far-a-week"),
        pytest.param(6 * 86_400.0, 3 * 86_400.0, id="three-days-before"),
        pytest.param(2 * 86_400.0, 86_400.0, id="never-less-than-a-day"),
        pytest.param(7_200.0, 7_200.0, id="unless-it-dies-sooner"),
    ],
)
def test_deadline_of_the_new_key(expires_at: float, deadline: float) -> None:
    """The new key has to come early enough before the old one expires."""
    assert key_deadline(0.0, expires_at) == deadline


def test_metrics_know_every_state() -> None:
    """The label set of the step metric is the set of states."""
    assert set(ROTATION_STATES) == set(State)
