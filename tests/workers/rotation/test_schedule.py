"""When a rotation begins, and when it is too late for one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from receiver.broker import Keys
from tests.build import NOW
from tests.workers.rotation.house import HEAR_LUA, NAME, PREFIX, House
from workers.ledger.transitions import Ledger
from workers.rotation.book import Facts, rotate_lua
from workers.rotation.config import BY_HAND, Credential, Mode, RotationConfig
from workers.rotation.freeze import (
    Freeze,
    Window,
    clock_of,
    day_of,
    endless,
    frozen_seconds,
    moment_of,
    thaw,
)
from workers.rotation.notice import Match, Notice
from workers.rotation.noticing import Noticing
from workers.rotation.record import plan
from workers.rotation.schedule import Schedule, expected, latest_start, outlook
from workers.rotation.state import State

HOUR = 3_600.0
DAY = 24 * HOUR
PLAIN = Credential(name=NAME, issuer=BY_HAND, mode=Mode.AUTOMATIC)
MONDAY = 1_799_625_600.0
"""2027-01-11 00:00 UTC, a Monday."""

WEEKEND = Freeze("weekend", days=(5, 6))
NIGHTS = Freeze("nights", days=(0, 1, 2, 3, 4, 5, 6), hours=(18 * HOUR, 8 * HOUR))


def schedule(house: House, redis: Redis) -> Schedule:
    """Return a schedule over the house's credential."""
    ledger = Ledger(redis, Keys(PREFIX), dedup_window=1.0, fragments=[HEAR_LUA, rotate_lua()])
    return Schedule(
        book=house.book,
        ledger=ledger,
        configuration=lambda: RotationConfig(credentials=(house.credential,)),
        routing=house.heard,
        prefix=PREFIX,
    )


@pytest.mark.parametrize(
    ("now", "free"),
    [
        pytest.param(MONDAY + 12 * HOUR, MONDAY + 12 * HOUR, id="by-day"),
        pytest.param(MONDAY + 20 * HOUR, MONDAY + DAY + 8 * HOUR, id="by-night"),
        pytest.param(MONDAY + 2 * HOUR, MONDAY + 8 * HOUR, id="before-dawn"),
        pytest.param(MONDAY + 5 * DAY, MONDAY + 7 * DAY + 8 * HOUR, id="weekend-into-night"),
    ],
)
def test_thaw(now: float, free: float) -> None:
    """Windows that touch are one."""
    assert thaw((WEEKEND, NIGHTS), now) == free


def test_frozen_time_is_counted_once() -> None:
    """A week has two days of weekend, whatever lies over them."""
    christmas = Freeze("christmas", fixed=Window(MONDAY + 5 * DAY, MONDAY + 5 * DAY + HOUR))

    assert frozen_seconds((WEEKEND, christmas), MONDAY, MONDAY + 7 * DAY) == 2 * DAY
    assert frozen_seconds((), MONDAY, MONDAY + DAY) == 0
    assert frozen_seconds((WEEKEND,), MONDAY + 5.5 * DAY, MONDAY + 6 * DAY) == DAY / 2


def test_a_freeze_for_ever_is_seen() -> None:
    """Weekly windows that leave no moment free are endless; those that come once are not."""
    always = Freeze("always", days=(0, 1, 2, 3, 4, 5, 6))

    assert endless((always,))
    assert not endless((WEEKEND, NIGHTS))
    assert not endless((Freeze("once", fixed=Window(0, 1e12)),))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param(day_of("Saturday"), 5, id="day"),
        pytest.param(day_of("someday"), None, id="no-day"),
        pytest.param(clock_of("18:30"), 18.5 * HOUR, id="hour"),
        pytest.param(clock_of("24:00"), DAY, id="midnight"),
        pytest.param(clock_of("24:01"), None, id="too-late"),
        pytest.param(clock_of("7"), None, id="no-hour"),
        pytest.param(moment_of("2027-01-11"), MONDAY, id="date"),
        pytest.param(moment_of("2027-01-11T01:00+01:00"), MONDAY, id="offset"),
        pytest.param(moment_of("soon"), None, id="no-date"),
    ],
)
def test_words_of_freezes(found: float | None, wanted: float | None) -> None:
    """Days, hours and moments are read or refused."""
    assert found == wanted


def test_latest_start_leaves_room_for_work_and_overlap() -> None:
    """Both keys have to live for the whole overlap before the old one expires."""
    facts = Facts(expires_at=NOW + 30 * DAY, durations=tuple([2 * HOUR] * 10))

    assert latest_start(PLAIN, facts) == NOW + 28 * DAY - 2 * HOUR
    assert latest_start(PLAIN, Facts()) is None


def test_latest_start_does_not_count_frozen_time() -> None:
    """A weekend in between moves the start to before it."""
    facts = Facts(expires_at=MONDAY + 7 * DAY, durations=(HOUR,))
    credential = replace(PLAIN, freezes=(WEEKEND,))

    assert latest_start(credential, facts) == MONDAY + 3 * DAY - HOUR


def test_work_is_what_nine_of_ten_took() -> None:
    """One rotation that took for ever does not set the plan; no experience means a day by hand."""
    took = (*map(float, range(1, 10)), 1e6)

    assert expected(PLAIN, Facts(durations=took)) == 9.0
    assert expected(PLAIN, Facts()) == DAY


@pytest.mark.parametrize(
    ("facts", "start"),
    [
        pytest.param(Facts(rotated_at=NOW), NOW + 90 * DAY, id="cadence"),
        pytest.param(Facts(seen_at=NOW - DAY), NOW + 89 * DAY, id="since-first-seen"),
        pytest.param(
            Facts(rotated_at=NOW, expires_at=NOW + 10 * DAY, durations=(HOUR,)),
            NOW + 8 * DAY - HOUR,
            id="expiry-comes-first",
        ),
    ],
)
def test_next_start(facts: Facts, start: float) -> None:
    """The calendar or the expiry, whichever is sooner."""
    assert outlook(PLAIN, facts, NOW).next_start == start


def test_no_cadence_and_no_expiry() -> None:
    """Then nothing begins by itself."""
    assert outlook(replace(PLAIN, cadence=None), Facts(), NOW).next_start is None


def test_feasible_until_the_latest_start() -> None:
    """The verdict follows the plan, not a fixed number of days."""
    facts = Facts(expires_at=NOW + 2 * DAY + HOUR, durations=(HOUR,))

    assert outlook(PLAIN, facts, NOW).feasible
    assert not outlook(PLAIN, facts, NOW + 1).feasible
    begun = plan(NAME, now=NOW, trigger="event")
    assert outlook(PLAIN, facts, NOW + HOUR, begun).feasible
    assert not outlook(PLAIN, facts, NOW + HOUR + 1, begun).feasible
    assert outlook(PLAIN, facts, NOW + DAY, replace(begun, state=State.OVERLAP)).feasible


def test_the_calendar_begins_a_rotation_once(house: House, redis: Redis) -> None:
    """After the cadence, and never while one is under way."""
    looking = schedule(house, redis)
    looking.run(NOW)

    looking.run(NOW + 90 * DAY)
    looking.run(NOW + 90 * DAY + 10)

    [found] = house.book.newest(10)
    assert (found.trigger, found.created_at) == ("schedule", NOW + 90 * DAY)


def test_after_a_failure_nothing_begins_for_a_day(house: House, redis: Redis) -> None:
    """What could not be done is not tried again at once."""
    looking = schedule(house, redis)
    house.book.note(NAME, {"seen_at": NOW - 100 * DAY, "tried_at": NOW})

    looking.run(NOW + DAY - 1)
    assert house.book.newest(1) == []
    looking.run(NOW + DAY)

    assert len(house.book.newest(1)) == 1


def test_observe_only_tells(house: House, redis: Redis) -> None:
    """Nothing begins; a low alert says weekly that it is due."""
    house.changes["mode"] = Mode.OBSERVE
    looking = schedule(house, redis)
    looking.run(NOW)

    for day in range(91, 100):
        looking.run(NOW + day * DAY)

    assert house.book.newest(10) == []
    assert {alert.name for alert in house.heard.alerts} == {"SynapRotationDue"}
    assert len(house.heard.alerts) <= 3


def test_infeasible_is_told_once_and_ends(house: House, redis: Redis) -> None:
    """On-call hears when there is no time left, and when there is again."""
    looking = schedule(house, redis)
    house.book.note(NAME, {"expires_at": NOW + DAY, "rotated_at": NOW - DAY})
    house.start()

    looking.run(NOW + 2 * HOUR)
    assert house.heard.firing() == {"SynapRotationInfeasible"}
    looking.run(NOW + 3 * HOUR)
    assert len(house.heard.alerts) == 1
    house.book.note(NAME, {"expires_at": NOW + 40 * DAY})
    looking.run(NOW + 4 * HOUR)

    assert house.heard.firing() == set()


def notice(**changes: object) -> Notice:
    """Return what an event says of the credential."""
    plain = Notice(
        type="api_key",
        credential_id="key_1",
        label="production",
        instance_id="inst_1",
        client_id="cli_1",
        endpoint="default",
        reported_at=NOW,
        expires_at=NOW + 9 * DAY,
        incident={"alertname": "SynapCredentialExpiring", "credential_id": "key_1"},
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        pytest.param(Match(), {NAME}, id="anything"),
        pytest.param(Match(credential_id="key_1"), {NAME}, id="its-id"),
        pytest.param(Match(credential_id="key_2"), set(), id="another-id"),
        pytest.param(Match(label="production", instance_id="inst_1"), {NAME}, id="all-given"),
        pytest.param(Match(label="production", instance_id="inst_2"), set(), id="one-differs"),
        pytest.param(Match(endpoint="default"), {NAME}, id="endpoint"),
    ],
)
def test_which_credential_an_event_speaks_of(match: Match, fits: set[str]) -> None:
    """Every field that is given has to agree."""
    noticing = Noticing(
        configuration=lambda: RotationConfig(credentials=(replace(PLAIN, match=match),)),
        prefix=PREFIX,
    )

    found = noticing.matching(notice())
    assert ({found.name} if found else set()) == fits
    assert noticing.matching(notice(type="webhook_secret")) is None


def apply(house: House, redis: Redis, *notices: Notice) -> None:
    """Write what follows from notices."""
    ledger = Ledger(redis, Keys(PREFIX), dedup_window=1.0, fragments=[HEAR_LUA, rotate_lua()])
    noticing = Noticing(
        configuration=lambda: RotationConfig(credentials=(house.credential,)), prefix=PREFIX
    )
    ledger.apply(noticing.effects(notices, house.clock()))


def test_an_event_begins_one_rotation(house: House, redis: Redis) -> None:
    """However often it is reported; each report's incident closes with the rotation."""
    apply(house, redis, notice(), notice(incident={"alertname": "Other"}))
    apply(house, redis, notice(reported_at=NOW + 60, expires_at=NOW + 8 * DAY))

    [found] = house.book.newest(10)
    assert (found.trigger, found.instance_id) == ("event", "inst_1")
    assert len(house.book.incidents(NAME)) == 2
    assert house.book.facts(NAME).expires_at == NOW + 8 * DAY


def test_an_event_for_an_observed_credential_is_only_noted(house: House, redis: Redis) -> None:
    """The expiry is known to the plan; nothing begins."""
    house.changes["mode"] = Mode.OBSERVE

    apply(house, redis, notice())

    assert house.book.newest(10) == []
    assert house.book.facts(NAME).expires_at == NOW + 9 * DAY
