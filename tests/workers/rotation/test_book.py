"""Rotations in Redis: one at a time, compare-and-set, bounded, handed on once."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.rotation.house import NAME, PREFIX, House
from workers.rotation.book import HISTORY_LINES, KEPT_ENDED, LEASE_SECONDS, Book, Writing, lua
from workers.rotation.errors import OvertakenError
from workers.rotation.fingerprint import Peppered, Secret, peppered
from workers.rotation.record import Entry, Rotation, plan, stamped, unbroken
from workers.rotation.state import State


def line(number: int = 0) -> Entry:
    """Return some line of history."""
    return Entry(NOW + number, "dana", "planned", "locked", "ok", "", f"{number}", "a", "b", 1)


def test_one_rotation_per_credential(house: House) -> None:
    """A second beginning changes nothing while one is under way."""
    first, second = house.start(), house.start()

    active = house.book.active(NAME)

    assert active is not None
    assert active.id == first
    assert house.book.read(second) is None


def test_a_reason_older_than_the_last_end_begins_nothing(house: House, redis: Redis) -> None:
    """A late report about the credential that was just replaced is over."""
    redis.hset(f"{PREFIX}:rotation:credential:{NAME}", "rotated_at", NOW + 1)

    rotation_id = house.start()

    assert house.book.read(rotation_id) is None
    assert house.book.incidents(NAME) == {}


def test_only_one_of_two_workers_holds_it(house: House) -> None:
    """A claim is refused while another's lease runs, and works after it."""
    rotation_id = house.start()

    held = house.book.claim(rotation_id, NOW)

    assert held is not None
    assert (held.fence, held.lease) == (1, NOW + LEASE_SECONDS)
    assert house.book.claim(rotation_id, NOW + 1) is None
    again = house.book.claim(rotation_id, NOW + LEASE_SECONDS)
    assert again is not None
    assert again.fence == 2


def test_a_late_worker_writes_nothing(house: House) -> None:
    """Neither record nor history nor alerts of a worker that was overtaken are written."""
    rotation_id = house.start()
    late = house.book.claim(rotation_id, NOW)
    held = house.book.claim(rotation_id, NOW + LEASE_SECONDS)
    assert late is not None
    assert held is not None

    with pytest.raises(OvertakenError):
        house.book.save(late, replace(late, state=State.LOCKED), Writing(entries=[line()]), NOW)

    assert house.rotation(rotation_id) == held
    assert len(house.book.history(rotation_id)) == 1


def test_a_write_that_expects_another_state_is_refused(house: House) -> None:
    """The state is part of the comparison, beside the fence."""
    rotation_id = house.start()
    held = house.book.claim(rotation_id, NOW)
    assert held is not None

    with pytest.raises(OvertakenError):
        house.book.save(replace(held, state=State.MINTED), held, Writing(), NOW)


def test_the_rotation_of_a_dead_worker_is_due_when_its_lease_ends(
    house: House, redis: Redis
) -> None:
    """Nobody has to notice the death: the deadline was written with the claim."""
    rotation_id = house.start()

    house.book.claim(rotation_id, NOW)

    assert redis.zscore(f"{PREFIX}:rotation:due", rotation_id) == NOW + LEASE_SECONDS


def test_due_rotations_become_jobs_once(house: House, redis: Redis) -> None:
    """Any number of ticks hand a deadline on once, and again if its job was lost."""
    rotation_id = house.start()

    handed = [house.book.enqueue_due(NOW), house.book.enqueue_due(NOW)]

    jobs = redis.lrange("rq:queue:rotation", 0, -1)
    assert handed == [1, 0]
    assert jobs == [f"rotation-{rotation_id}-{int(NOW * 1000)}".encode()]
    assert house.book.enqueue_due(NOW + 30) == 1


def test_two_ticks_that_read_the_same_deadline_push_one_job(house: House, redis: Redis) -> None:
    """The script compares the deadline that was read with the one that stands."""
    rotation_id = house.start()
    script = redis.register_script(lua("due.lua"))
    job = ["q", "rq:job:1", "1", 2, "f", "v"]

    taken = [
        script(args=["synap:rotation:due", NOW + 30, "queues", 1, rotation_id, NOW, *job])
        for _ in range(2)
    ]

    assert taken == [1, 0]


def test_history_is_bounded(house: House) -> None:
    """A rotation that lasts for ever keeps the last lines."""
    rotation_id = house.start()
    held = house.book.claim(rotation_id, NOW)
    assert held is not None

    house.book.save(held, held, Writing(entries=[line(n) for n in range(HISTORY_LINES + 5)]), NOW)

    kept = house.book.history(rotation_id)
    assert len(kept) == HISTORY_LINES
    assert kept[-1].detail == str(HISTORY_LINES + 4)


def test_ended_rotations_are_bounded(redis: Redis) -> None:
    """The oldest that ended are forgotten, with their history."""
    book = Book(redis, PREFIX)
    ended = [f"{n:04d}" for n in range(KEPT_ENDED)]
    redis.zadd(f"{PREFIX}:rotation:ended", {name: n for n, name in enumerate(ended)})
    redis.zadd(f"{PREFIX}:rotation:all", {name: n for n, name in enumerate(ended)})
    redis.set(f"{PREFIX}:rotation:record:0000", "{}")
    last = plan(NAME, now=NOW, trigger="person")
    redis.set(f"{PREFIX}:rotation:record:{last.id}", last.to_wire())

    book.save(last, replace(last, state=State.DONE), Writing(), NOW)

    assert redis.zcard(f"{PREFIX}:rotation:ended") == KEPT_ENDED
    assert not redis.exists(f"{PREFIX}:rotation:record:0000")
    assert book.find("0000") == []


def test_the_end_frees_the_credential(house: House) -> None:
    """After the end there is no active rotation and nothing due."""
    rotation_id = house.start()
    held = house.book.claim(rotation_id, NOW)
    assert held is not None

    house.book.save(held, replace(held, state=State.ABORTED, lease=0.0), Writing(), NOW)

    assert house.book.active(NAME) is None
    assert house.book.enqueue_due(NOW + 1e6) == 0
    assert house.book.claim(rotation_id, NOW + 1e6) is None


def test_records_of_a_newer_release_are_read(redis: Redis) -> None:
    """A field that this release does not know is left out."""
    written = plan(NAME, now=NOW, trigger="event")
    wire = orjson.dumps(orjson.loads(written.to_wire()) | {"newer": 1})

    assert Rotation.from_wire(wire) == written
    assert redis.ping()


def test_the_chain_shows_a_changed_line() -> None:
    """Each line is bound to the one before it."""
    rotation, first = stamped(plan(NAME, now=NOW, trigger="person"), line(1))
    rotation, second = stamped(rotation, line(2))
    _, third = stamped(rotation, line(3))

    assert unbroken([first, second, third])
    assert not unbroken([first, second._replace(actor="nobody"), third])
    assert not unbroken([first, third])


def test_the_pepper_is_made_once(redis: Redis) -> None:
    """Every process of an installation makes the same fingerprints; another one makes others."""
    key = Secret("synap_abc")

    first, second = peppered(redis, PREFIX)(key), peppered(redis, PREFIX)(key)

    assert first == second
    assert len(first) == 12
    assert peppered(redis, "other")(key) != first


def test_a_secret_shows_itself_nowhere() -> None:
    """Its text and its representation are masks, and it cannot be pickled."""
    secret = Secret("synap_canary")

    assert (str(secret), repr(secret), f"{secret}") == ("***", "Secret(***)", "***")
    with pytest.raises(TypeError, match="not written"):
        secret.__reduce__()
    with pytest.raises(TypeError):
        orjson.dumps(secret)


def test_secrets_compare_by_value() -> None:
    """Two secrets are equal when their texts are; nothing else equals a secret."""
    one = Secret("a")

    assert one == Secret("a")
    assert one != Secret("b")
    assert one != "a"
    assert len({one, Secret("a")}) == 1
    assert not Secret("")
    assert Peppered(lambda: b"x")(one) == Peppered(lambda: b"x")(Secret("a"))
