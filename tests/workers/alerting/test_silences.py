"""Silences: what they are, how they change, how long they hold."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

import pytest
from redis import Redis

from tests.build import NOW
from tests.workers.alerting.house import PREFIX, ROOM
from workers.alerting.silence_book import KEPT_SECONDS, SilenceBook
from workers.alerting.silences import Silence, SilenceError, State, expired, updates_in_place
from workers.alerting.syntax import parse

HOUR = 3600.0


def silence(*sets: str, starts: float = 0.0, ends: float = HOUR, ident: str = "") -> Silence:
    """Return a silence by dana from `NOW + starts` to `NOW + ends`."""
    return Silence(
        id=ident,
        sets=tuple(parse(text).matchers for text in sets or ("a=1",)),
        starts_at=NOW + starts,
        ends_at=NOW + ends,
        author="dana",
        reason="a planned change",
        updated_at=NOW,
    )


@pytest.fixture
def book(redis: Redis) -> SilenceBook:
    """Return the silences of the suite's Redis."""
    return SilenceBook(redis, PREFIX)


@pytest.mark.parametrize(
    ("sets", "labels", "muted"),
    [
        pytest.param(["a=1"], {"a": "1"}, True, id="B33: one matcher"),
        pytest.param(["a=1,b=2"], {"a": "1"}, False, id="B33: AND inside a set"),
        pytest.param(["a=1,b=2"], {"a": "1", "b": "2"}, True, id="B33: all of a set"),
        pytest.param(["a=1", "b=2"], {"b": "2"}, True, id="B33: OR of sets"),
        pytest.param(["a=~1.*,c!=9"], {"a": "12"}, True, id="B8: missing equals empty"),
        pytest.param(["a=1"], {"a": "2"}, False, id="another alert"),
    ],
)
def test_b33_what_a_silence_mutes(
    book: SilenceBook, sets: list[str], labels: dict[str, str], *, muted: bool
) -> None:
    """B33: a silence is an OR of sets, a set an AND of matchers."""
    kept = book.put(silence(*sets), now=NOW)

    assert book.in_force(NOW)(labels) == (kept.id if muted else None)


@pytest.mark.parametrize(
    ("at", "state"),
    [
        pytest.param(-1, State.PENDING, id="before"),
        pytest.param(0, State.ACTIVE, id="from its start"),
        pytest.param(HOUR - 1, State.ACTIVE, id="until"),
        pytest.param(HOUR, State.EXPIRED, id="its end"),
    ],
)
def test_b33_states(at: float, state: State) -> None:
    """B33: pending before the start, active from it, expired from the end on."""
    assert silence().state(NOW + at) is state


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        pytest.param(replace(silence(), sets=()), "at least one set", id="no set"),
        pytest.param(replace(silence(), sets=((),)), "is empty", id="empty set"),
        pytest.param(silence("a=~.*"), "must not match the empty text", id="matches all"),
        pytest.param(silence("a=1", "b!=x,c="), "must not match the empty", id="one of the sets"),
        pytest.param(silence(ends=-HOUR), "before the start", id="end before start"),
        pytest.param(silence(starts=-9, ends=-1), "before the start", id="over already"),
        pytest.param(silence(ends=32 * 24 * HOUR), "at most 744 h are allowed", id="too long"),
        pytest.param(replace(silence(), author=" "), "the author is missing", id="nobody"),
        pytest.param(replace(silence(), reason=""), "the reason is missing", id="no reason"),
        pytest.param(replace(silence(), reason="x" * 1025), "longer than 1024", id="a novel"),
        pytest.param(silence(*["a=1"] * 17), "at most 16 sets", id="too many sets"),
        pytest.param(silence("a=" + "x" * 1024), "longer than 1024", id="a long matcher"),
    ],
)
def test_b33_what_is_no_silence(book: SilenceBook, wanted: Silence, says: str) -> None:
    """B33: what could mute everything, never ends or belongs to nobody is refused."""
    with pytest.raises(SilenceError, match=says):
        book.put(wanted, now=NOW)

    assert book.all() == []


@pytest.mark.parametrize(
    ("before", "after", "in_place"),
    [
        pytest.param(silence(), silence(ends=2 * HOUR), True, id="active, longer"),
        pytest.param(silence(), silence(ends=60), True, id="active, shorter"),
        pytest.param(silence(), silence(starts=1), False, id="active, other start"),
        pytest.param(silence(), silence(ends=-1), False, id="active, end in the past"),
        pytest.param(silence(), silence("a=2"), False, id="other matchers"),
        pytest.param(silence("a=1,b=2"), silence("b=2,a=1"), True, id="other order"),
        pytest.param(silence(starts=60), silence(starts=30), True, id="pending, earlier"),
        pytest.param(silence(starts=60), silence(starts=-1), False, id="pending, in the past"),
        pytest.param(
            silence(starts=-2 * HOUR, ends=-HOUR), silence(), False, id="never an expired one"
        ),
    ],
)
def test_b33_update_in_place(before: Silence, after: Silence, *, in_place: bool) -> None:
    """B33: only what has not yet counted may change in place."""
    assert updates_in_place(before, after, now=NOW) is in_place


def test_b33_a_change_that_is_another_silence(book: SilenceBook) -> None:
    """B33: where it cannot change in place the old one ends and a new one with a new id holds."""
    old = book.put(silence("a=1"), now=NOW)

    new = book.put(silence("b=1", starts=-HOUR, ident=old.id), now=NOW + 60)

    states = {one.id: one.state(NOW + 60) for one in book.all()}
    assert states == {old.id: State.EXPIRED, new.id: State.ACTIVE}
    assert new.starts_at == NOW + 60
    assert book.in_force(NOW + 60)({"a": "1"}) is None


def test_b33_a_change_in_place(book: SilenceBook) -> None:
    """B33: a longer end keeps the id; the maximum counts from the start, however often."""
    old = book.put(silence(), now=NOW)

    assert book.put(silence(ends=2 * HOUR, ident=old.id), now=NOW + 60).id == old.id
    with pytest.raises(SilenceError, match="at most"):
        book.put(silence(ends=32 * 24 * HOUR, ident=old.id), now=NOW + 60)
    with pytest.raises(SilenceError, match="no silence has the id nobody"):
        book.put(silence(ident="nobody"), now=NOW)


@pytest.mark.parametrize(
    ("one", "times"),
    [
        pytest.param(silence(), (NOW, NOW + 60), id="active ends now"),
        pytest.param(silence(starts=HOUR, ends=9 * HOUR), (NOW + 60, NOW + 60), id="pending"),
        pytest.param(silence(starts=-9, ends=-1), (NOW - 9, NOW - 1), id="expired stays"),
    ],
)
def test_b33_expire(one: Silence, times: tuple[float, float]) -> None:
    """B33: expiring ends an active one, voids a pending one, and leaves what is over."""
    over = expired(one, now=NOW + 60)

    assert (over.starts_at, over.ends_at) == times


def test_expired_silences_stay_five_days(book: SilenceBook) -> None:
    """What is over can be looked up for five days; the next write after that drops it."""
    old = book.put(silence(), now=NOW)
    book.expire(old.id, now=NOW + 60)
    later = NOW + 60 + KEPT_SECONDS + 1

    new = book.put(silence(starts=KEPT_SECONDS + 90, ends=KEPT_SECONDS + HOUR), now=later)

    assert [one.id for one in book.all()] == [new.id]
    with pytest.raises(SilenceError, match="no silence"):
        book.expire(old.id, now=later)


def test_there_may_be_so_many(redis: Redis) -> None:
    """The number of silences is bounded; one that goes makes room."""
    book = SilenceBook(redis, PREFIX, max_silences=2)
    for _ in range(2):
        book.put(silence(), now=NOW)

    with pytest.raises(SilenceError, match="there are 2 silences already"):
        book.put(silence(), now=NOW)


def test_every_process_sees_a_change_at_once(redis: Redis, book: SilenceBook) -> None:
    """A book that was read before sees what another one wrote, and an emptied Redis too."""
    assert book.in_force(NOW)({"a": "1"}) is None

    kept = SilenceBook(redis, PREFIX).put(silence(), now=NOW)

    assert book.in_force(NOW)({"a": "1"}) == kept.id
    redis.delete(f"{ROOM}silences")
    assert book.in_force(NOW)({"a": "1"}) is None


def test_writers_at_once_lose_nothing(redis: Redis) -> None:
    """Of many who write at the same moment each has its silence kept."""
    books = [SilenceBook(redis, PREFIX) for _ in range(4)]
    threads = [Thread(target=book.put, args=(silence(),), kwargs={"now": NOW}) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(SilenceBook(redis, PREFIX).all()) == 4


def test_a_broken_silence_mutes_nothing(redis: Redis, book: SilenceBook) -> None:
    """What cannot be read is no silence: its alerts are heard, the others' stay silent."""
    kept = book.put(silence(), now=NOW)
    redis.hset(f"{ROOM}silences", mapping={"broken": b"{}", "version": "moved"})

    assert [one.id for one in book.all()] == [kept.id]
