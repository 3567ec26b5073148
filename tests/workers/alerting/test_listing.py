"""Reading what fires."""

from __future__ import annotations

from redis import Redis

from tests.build import INSTANCE, NOW, make_alert
from tests.workers.alerting.house import PREFIX, House
from workers.alerting.listing import AlertListing


def test_what_is_critical_at_an_instance(home: House, redis: Redis) -> None:
    """Only what fires now, at that instance, at the highest severity."""
    home.report(
        make_alert("Firing", severity="critical"),
        make_alert("Milder", severity="high"),
        make_alert("Elsewhere", severity="critical", instance_id="inst_ffffffffffffffff"),
        make_alert("Passing", severity="critical", ends_at=NOW + 60),
    )
    listing = AlertListing(redis, PREFIX)

    assert {one.name for one in listing.critical(INSTANCE, NOW)} == {"Firing", "Passing"}
    assert {one.name for one in listing.critical(INSTANCE, NOW + 60)} == {"Firing"}
