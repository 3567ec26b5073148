"""The words of a notification."""

from __future__ import annotations

import pytest

from tests.build import NOW, make_alert
from tests.workers.alerting.notifiers.conformance import notification
from workers.alerting.notification import Why
from workers.alerting.wording import (
    about,
    counted,
    images,
    iso,
    links,
    listed,
    severity,
    span,
    text,
    timing,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (3700, "1 h 1 min"),
        (86_400, "1 d"),
        (100_000, "1 d 3 h"),
    ],
)
def test_a_length_of_time(seconds: float, expected: str) -> None:
    """The largest two units are enough."""
    assert span(seconds) == expected


def test_a_moment_for_machines() -> None:
    """ISO 8601 in UTC, with milliseconds."""
    assert iso(NOW + 0.25) == "2027-01-15T08:00:00.250Z"


def test_timing() -> None:
    """Since when it fires, or from when to when it did."""
    fires = notification(make_alert("A", now=NOW - 90))
    over = notification(make_alert("A", now=NOW - 90, ends_at=NOW - 30), why=Why.ALL_RESOLVED)

    assert timing(fires) == "since 2027-01-15 07:58 UTC (1 min)"
    assert timing(over) == "from 2027-01-15 07:58 UTC to 2027-01-15 07:59 UTC (1 min)"


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        (["low", "critical", "high"], "critical"),
        (["info", "strange"], "strange"),
        (["", "info"], "info"),
        ([""], ""),
    ],
)
def test_the_worst_severity(severities: list[str], expected: str) -> None:
    """What is not known counts as an error; what has none counts for nothing."""
    assert severity(tuple(make_alert(severity=one) for one in severities)) == expected


def test_counted() -> None:
    """How many fire, are over, and were left out."""
    told = notification(make_alert("A"), make_alert("A", x="1", ends_at=NOW), truncated=3)

    assert counted(told) == "1 firing, 1 resolved, 3 more"


def test_a_description_in_parts() -> None:
    """A description may mark why it matters and what to do; one that does not is all there is."""
    marked = {"description": "It broke. Why it matters: pain. What to do: mend it.", "inspect": "x"}

    assert about(notification(make_alert(annotations=marked)))[:4] == (
        "It broke.",
        "pain.",
        "mend it.",
        "x",
    )
    plain = notification(make_alert(annotations={"description": "It broke."}))
    assert about(plain).what == "It broke."
    own = notification(texts={"description": "Ours. What to do: ours."})
    assert about(own)[:3] == ("Ours.", "", "ours.")


def test_many_alerts_are_named_and_the_rest_counted() -> None:
    """Ten by what tells them apart, then a number; a single one needs no list."""
    alerts = [make_alert("A", host=f"{n:02}") for n in range(12)]

    lines = listed(notification(*alerts, truncated=1))

    assert lines[0] == "host=00, since 2027-01-15 08:00 UTC"
    assert lines[-1] == "and 3 more"
    assert len(lines) == 11
    assert listed(notification()) == []


def test_links_and_images_are_what_can_be_opened() -> None:
    """Each URL stands once; an image has to be https."""
    notes = {
        "runbook": "README.md#a",
        "runbook_url": "https://r/1",
        "image": "http://i/x.png",
        "image_url": "https://i/y.png",
    }
    told = notification(*(make_alert("A", host=host, annotations=notes) for host in "ab"))

    assert links(told) == [("Runbook", "https://r/1")]
    assert images(told) == [("A", "https://i/y.png")]


def test_a_text_without_anything_to_say() -> None:
    """An alert that explains nothing is still told since when."""
    told = notification(make_alert("A", severity="", annotations={"summary": ""}), external_url="")

    assert text(told) == "When: since 2027-01-15 08:00 UTC (0 s)\nAlerts: 1 firing"
