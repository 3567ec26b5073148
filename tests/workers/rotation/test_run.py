"""The ways of a rotation: by hand, by issuer, with approvals, freezes, rollbacks and deadlines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.house import NAME, House
from tests.workers.rotation.people import drive, orders
from tests.workers.rotation.world import NEW, OLD
from workers.rotation.config import Mode, OnFailure
from workers.rotation.errors import (
    Reason,
)
from workers.rotation.fingerprint import Secret
from workers.rotation.freeze import Freeze, Window
from workers.rotation.notice import WEBHOOK_SECRET
from workers.rotation.state import State
from workers.rotation.work import PROMOTE, REVOKE

HOUR = 3_600.0
DAY = 24 * HOUR


def to(house: House, state: State, **given: object) -> str:
    """Carry a new rotation to a state, with a person's help, and return its id."""
    rotation_id = house.start(**given)
    found = drive(house, rotation_id, until=state)
    assert found.state is state, found
    return rotation_id


def test_by_hand(house: House) -> None:
    """A person makes the key and revokes the old one; all else happens by itself."""
    rotation_id = house.start()

    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert house.path(rotation_id) == [
        "planned", "locked", "intent", "minting", "awaiting_key", "minted", "preverified",
        "stored_pending", "promoted", "restarting", "rolled_out", "verified", "overlap",
        "revoke_gate", "revoking", "revoked", "confirmed", "done",
    ]  # fmt: skip
    assert house.world.read()["revoked_at"][OLD] >= end.verified_at + 48 * HOUR
    assert house.heard.firing() == set()


def test_by_issuer(house: House) -> None:
    """With an issuer nobody is asked for anything."""
    rotation_id = house.by_issuer().start()

    end = house.run(rotation_id)

    assert end.state is State.DONE
    assert {alert.name for alert in house.heard.alerts} == {"SynapRotationChanged"}
    assert [alert.labels["change"] for alert in house.heard.alerts] == [
        "promoted", "wave_0", "wave_1", "verified", "revoked", "done",
    ]  # fmt: skip


def test_the_second_rotation_knows_the_first_ones_key(house: House) -> None:
    """The id of the key to revoke is the one that the last rotation made."""
    first = house.by_issuer().run(house.start())
    house.wait_for(house.clock() + DAY)

    second = house.run(house.start())

    assert second.state is State.DONE
    assert second.old_key_id == first.key_id
    assert second.old == first.new


def test_a_key_that_was_replaced_by_hand_is_revoked_by_hand(house: House) -> None:
    """Its id is not known, and the id of the key before it must not be revoked for it."""
    house.by_issuer().run(house.start())
    house.world.add_key(NEW, key_id="key_by_hand")
    house.store.fill(NEW)
    house.wait_for(house.clock() + DAY)

    rotation_id = house.start()
    found = drive(house, rotation_id, until=State.REVOKING)

    assert found.old_key_id == ""


@pytest.mark.parametrize(
    ("phases", "cause"),
    [
        pytest.param(["failed"], Reason.ROLLOUT_FAILED, id="failed"),
        pytest.param(["held"], Reason.ROLLOUT_HELD, id="held"),
        pytest.param(["running"] * 400, Reason.PATIENCE_SPENT, id="never-ready"),
    ],
)
def test_a_rollout_that_fails_stops_at_the_canary(
    house: House, phases: list[str], cause: Reason
) -> None:
    """The first wave's failure leaves the other workloads alone."""
    house.by_issuer()
    house.world.answer("canary", "absent", "absent", *phases)

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.PAUSED, cause)
    assert set(house.world.read()["workloads"]) == {"canary"}
    assert house.heard.firing() == {"SynapRotationFailed"}


def test_a_failed_wave_is_started_again_by_whoever_resumes(house: House, redis: Redis) -> None:
    """A command that failed is run once more, since a person has mended its cause."""
    house.by_issuer()
    house.world.answer("canary", "absent", "absent", "failed", "failed", "failed")
    rotation_id = house.start()
    assert drive(house, rotation_id).cause == Reason.ROLLOUT_FAILED
    starts = house.world.read()["calls"].count("start")

    orders(house, redis).resume(rotation_id)
    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert house.world.read()["calls"].count("start") == starts + 3


def test_a_failed_rollout_goes_back_by_itself_if_so_configured(house: House) -> None:
    """The old key is current again, what was restarted restarts, the new key is revoked."""
    house.by_issuer().changes["on_failure"] = OnFailure.ROLLBACK
    house.world.answer("canary", "absent", "absent", "failed")

    end = drive(house, house.start())

    assert (end.state, end.cause) == (State.ROLLED_BACK, Reason.ROLLOUT_FAILED)
    assert house.store.held() == OLD
    assert house.world.read()["workloads"]["canary"]["stamps"] == [end.id, f"{end.id}-rb"]
    assert [key["id"] for key in house.world.read()["keys"].values() if key["alive"]] == ["key_old"]


def test_a_wave_of_which_nobody_knows_is_not_started_again(house: House, redis: Redis) -> None:
    """A worker that died around the start leaves it to a person; resuming starts it."""
    house.by_issuer()
    rotation_id = to(house, State.RESTARTING)
    found = house.rotation(rotation_id)
    begun = replace(found, begun=1, lease=0.0)
    redis.set(f"synap:rotation:record:{rotation_id}", begun.to_wire())
    house.world.answer("canary", "unknown")

    end = drive(house, rotation_id)
    assert (end.state, end.cause) == (State.PAUSED, Reason.ROLLOUT_UNKNOWN)
    orders(house, redis).resume(rotation_id)

    assert drive(house, rotation_id).state is State.DONE


def test_approvals(house: House) -> None:
    """In mode approve a person allows the promotion and the revocation, each by itself."""
    house.by_issuer().changes["mode"] = Mode.APPROVE

    rotation_id = house.start()
    end = drive(house, rotation_id)

    assert end.state is State.DONE
    assert end.approvals == (PROMOTE, REVOKE)
    asked = [a.labels["awaits"] for a in house.heard.alerts if a.labels.get("awaits")]
    assert list(dict.fromkeys(asked)) == [PROMOTE, REVOKE]
    assert house.heard.firing() == set()


def test_nothing_goes_on_without_approval(house: House) -> None:
    """However long it takes."""
    house.by_issuer().changes["mode"] = Mode.APPROVE
    rotation_id = house.start()

    for _ in range(40):
        house.wait_for(house.rotation(rotation_id).due_at)
        house.machine.advance(rotation_id)

    assert house.rotation(rotation_id).state is State.STORED_PENDING
    assert house.store.held() == OLD


def test_a_mode_that_becomes_observe_stops_it(house: House) -> None:
    """What is not configured for rotation any more waits for a person."""
    rotation_id = to(house, State.AWAITING_KEY)
    house.changes["mode"] = Mode.OBSERVE

    house.wait_for(house.rotation(rotation_id).due_at)
    house.machine.advance(rotation_id)

    found = house.rotation(rotation_id)
    assert (found.state, found.cause) == (State.PAUSED, Reason.NOT_CONFIGURED)


def test_no_key_in_time(house: House) -> None:
    """The deadline pauses the rotation; the reminders grew louder before."""
    rotation_id = house.start(expires_at=NOW + 10 * DAY)
    found = house.run(rotation_id, until=State.PAUSED)

    severities = [a.labels["severity"] for a in house.heard.alerts
                  if a.name == "SynapRotationAwaitingKey" and a.ends_at is None]  # fmt: skip
    assert found.cause == Reason.NO_KEY_IN_TIME
    assert severities == ["medium", "high", "critical"]


def test_a_key_after_the_deadline(house: House, redis: Redis) -> None:
    """A late key is taken all the same."""
    rotation_id = house.start()
    house.run(rotation_id, until=State.PAUSED)
    house.world.add_key(NEW, key_id="key_new")

    orders(house, redis).submit(rotation_id, Secret(NEW))

    assert drive(house, rotation_id).state is State.DONE


def test_a_revocation_by_hand_that_never_comes(house: House) -> None:
    """After three days on-call is paged, and the watch goes on."""
    rotation_id = to(house, State.REVOKING)

    found = house.run(rotation_id, until=State.REVOKE_FAILED, steps=2_000)

    reasons = [line.reason for line in house.book.history(rotation_id)]
    assert found.state is State.REVOKE_FAILED
    assert Reason.NOT_REVOKED_IN_TIME in reasons
    assert "SynapRotationRevokeOverdue" in house.heard.firing()
    house.world.kill_key(OLD)
    assert drive(house, rotation_id).state is State.DONE


def test_freezes_hold_the_beginning_the_promotion_and_the_revocation(house: House) -> None:
    """Within a freeze nothing is changed."""
    house.by_issuer()
    house.changes["freezes"] = (
        Freeze("start", fixed=Window(NOW, NOW + DAY)),
        Freeze("gate", fixed=Window(NOW + 2 * DAY, NOW + 5 * DAY)),
    )

    end = house.run(house.start())

    assert end.promoted_at >= NOW + DAY
    assert house.world.read()["revoked_at"][OLD] >= NOW + 5 * DAY


def test_a_key_that_the_gate_let_through_is_judged_again(house: House) -> None:
    """Between the gate and the revocation a workload may have fallen back."""
    rotation_id = to(house, State.REVOKING)
    house.world.answer("api", "running")

    house.wait_for(house.rotation(rotation_id).due_at)
    house.machine.advance(rotation_id)

    assert "revoke_gate" in house.path(rotation_id)[14:]
    assert house.world.read()["keys"][OLD]["alive"]


def test_signing_keys_rotate_by_their_use(house: House) -> None:
    """A delivery signed with a new key verifies it; the old one is safe to retire when quiet."""
    house.changes |= {"type": WEBHOOK_SECRET, "stores": (), "rollout": None}
    house.uses["key-1"] = NOW - 60
    rotation_id = house.start()
    house.run(rotation_id, until=State.AWAITING_KEY)
    house.wait_for(NOW + HOUR)
    house.uses |= {"key-1": NOW + HOUR, "key-2": NOW + HOUR}

    found = drive(house, rotation_id, until=State.REVOKE_GATE)
    assert found.new_label == "key-2"
    house.uses["key-1"] = house.clock()
    house.machine.advance(rotation_id)
    assert house.rotation(rotation_id).reason == Reason.NOT_NOW
    found = house.run(rotation_id, until=State.REVOKING)
    assert house.clock() - house.uses["key-1"] > 14.6 * HOUR

    house.machine.advance(rotation_id)
    orders(house, house.redis).approve(rotation_id)
    assert house.run(rotation_id).state is State.DONE
    assert house.book.facts(NAME).rotated_at == house.clock()
