"""Acknowledgements: whose they are, and how long they hold."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.build import NOW, make_alert
from tests.workers.alerting.house import PREFIX, ROOM, House
from workers.alerting.acknowledgements import AcknowledgementBook


@pytest.fixture
def book(redis: Redis) -> AcknowledgementBook:
    """Return the acknowledgements of the suite's Redis."""
    return AcknowledgementBook(redis, PREFIX)


def test_it_holds_until_it_lapses(home: House, book: AcknowledgementBook) -> None:
    """An acknowledgement says who and since when, and lapses at its time."""
    home.report(make_alert())
    [gid] = home.group_ids()

    given = book.give(gid, author="dana", until=NOW + 60, now=NOW)

    assert given is not None
    assert book.of(gid, NOW + 59) == given
    assert (given.author, given.at, given.until) == ("dana", NOW, NOW + 60)
    assert book.of(gid, NOW + 60) is None
    assert book.of_all([gid, "other"], NOW) == [given, None]
    assert book.of_all([], NOW) == []


def test_each_is_another(home: House, book: AcknowledgementBook) -> None:
    """Given twice it has two ids, so that each is passed on; taken back it is gone."""
    home.report(make_alert())
    [gid] = home.group_ids()

    one = book.give(gid, author="dana", until=None, now=NOW)
    two = book.give(gid, author="kim", until=None, now=NOW)

    assert one
    assert two
    assert one.id != two.id
    assert book.of(gid, NOW + 9e6) == two
    assert book.take_back(gid)
    assert not book.take_back(gid)
    assert book.of(gid, NOW) is None


def test_a_group_that_comes_again_is_another_trouble(
    redis: Redis, home: House, book: AcknowledgementBook
) -> None:
    """An acknowledgement does not outlive its group, even if one of the same labels comes."""
    home.report(make_alert())
    [gid] = home.group_ids()
    book.give(gid, author="dana", until=None, now=NOW)

    redis.hset(f"{ROOM}group:{gid}", "created", str(NOW + 900))

    assert book.of(gid, NOW + 900) is None


def test_there_must_be_a_group(book: AcknowledgementBook) -> None:
    """What is not there cannot be taken on."""
    assert book.give("nothing", author="dana", until=None, now=NOW) is None
