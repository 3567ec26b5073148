"""Incidents: what is open at PagerDuty and Opsgenie after any story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.build import NOW, make_alert
from tests.sink import Answer
from tests.workers.alerting.notifiers.conformance import call, notification, target
from tests.workers.alerting.notifiers.fakes import FakeOpsgenie, FakePagerduty
from workers.alert import Alert
from workers.alerting.notification import Call, Notification, Notifier, Why
from workers.outbound import Outbound, Reason, Retry, Sent, Verdict

GROUP = "d" * 64
PART = GROUP[:40]


@pytest.fixture
def pager() -> Iterator[FakePagerduty]:
    """Yield a PagerDuty of our own."""
    fake = FakePagerduty()
    yield fake
    fake.close()


@pytest.fixture
def genie() -> Iterator[FakeOpsgenie]:
    """Yield an Opsgenie of our own."""
    fake = FakeOpsgenie()
    yield fake
    fake.close()


def pagerduty(pager: FakePagerduty, more: str = "") -> Notifier:
    """Return a target that tells our PagerDuty."""
    return target("pagerduty", f"{{routing_key: k, url: '{pager.url}/v2/enqueue'{more}}}")


def opsgenie(genie: FakeOpsgenie, more: str = "") -> Notifier:
    """Return a target that tells our Opsgenie."""
    return target("opsgenie", f"{{api_key: k, api_url: '{genie.url}'{more}}}")


def fires(*severities: str) -> Notification:
    """Return a message about alerts of these severities, one by one."""
    alerts = (make_alert("A", severity=one, host=str(n)) for n, one in enumerate(severities))
    return notification(*alerts)


def ends(*severities: str) -> Notification:
    """Return the message that alerts of these severities are over."""
    alerts: Sequence[Alert] = [
        make_alert("A", severity=one, host=str(n), ends_at=NOW) for n, one in enumerate(severities)
    ]
    return notification(*alerts, why=Why.ALL_RESOLVED)


def story(notifier: Notifier, outbound: Outbound, *told: Notification) -> list[Verdict]:
    """Tell one message after the other; what is remembered goes along."""
    verdicts: list[Verdict] = []
    given = call(outbound)
    for message in told:
        verdict = notifier.notify(message, given)
        verdicts.append(verdict)
        given = given._replace(memory=verdict.memory or given.memory)
    return verdicts


def test_a_step_up_opens_a_new_incident_and_then_resolves_the_old(
    pager: FakePagerduty, outbound: Outbound
) -> None:
    """What gets worse pages anew, under a key of its own, with no gap; then all is closed."""
    made = pagerduty(pager)

    story(made, outbound, fires("low"), fires("critical"), fires("critical"), ends("critical"))

    assert pager.log == [
        f"trigger {GROUP}",
        f"trigger {GROUP}-critical",
        f"resolve {GROUP}",
        f"trigger {GROUP}-critical",
        f"resolve {GROUP}-critical",
    ]
    assert (pager.open, pager.dropped, pager.refused) == ({}, [], [])


def test_every_step_of_an_expiring_credential(pager: FakePagerduty, outbound: Outbound) -> None:
    """From low to critical there is always exactly one incident, as severe as it is."""
    made = pagerduty(pager)
    found = []
    given = call(outbound)
    for severity in ("low", "medium", "high", "critical"):
        verdict = made.notify(fires(severity), given)
        assert isinstance(verdict, Sent)
        given = given._replace(memory=verdict.memory or {})
        found.append(list(pager.open.values()))

    assert found == [["info"], ["warning"], ["error"], ["critical"]]


def test_a_step_down_stays_where_it_is(pager: FakePagerduty, outbound: Outbound) -> None:
    """What gets better is the same incident until it is over."""
    story(pagerduty(pager), outbound, fires("critical"), fires("low"), ends("low"))

    assert pager.log == [f"trigger {GROUP}", f"trigger {GROUP}", f"resolve {GROUP}"]


def test_a_step_that_breaks_off_is_finished_later(pager: FakePagerduty, outbound: Outbound) -> None:
    """If only the new incident was opened, another attempt resolves the old and no more."""
    made = pagerduty(pager)
    (first,) = story(made, outbound, fires("low"))
    assert isinstance(first, Sent)
    pager.answer_next(Answer(202, b"{}"), Answer(503))
    pager.open[f"{GROUP}-critical"] = "critical"

    broken = made.notify(fires("critical"), call(outbound, first.memory))
    assert isinstance(broken, Retry)
    again = made.notify(fires("critical"), call(outbound, broken.memory))

    assert isinstance(again, Sent)
    assert pager.log[1:] == [f"resolve {GROUP}"]
    assert pager.open == {f"{GROUP}-critical": "critical"}


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        pytest.param(["low"], [GROUP], id="one-severity"),
        pytest.param(["low", "critical"], [GROUP, f"{GROUP}-critical"], id="a-step-in-doubt"),
    ],
)
def test_in_doubt_all_that_may_be_open_is_resolved(
    pager: FakePagerduty, outbound: Outbound, severities: list[str], expected: list[str]
) -> None:
    """D10: if an attempt was lost, a resolve covers each key that it may have opened."""
    pagerduty(pager).notify(ends(*severities), call(outbound, repeated=True))

    assert pager.log == [f"resolve {key}" for key in expected]


def test_an_incident_for_each_alert(pager: FakePagerduty, outbound: Outbound) -> None:
    """With `dedup_by: alert` each alert opens and closes its own, and is not told twice."""
    made = pagerduty(pager, ", dedup_by: alert")
    alerts = [make_alert("A", host=host) for host in "ab"]
    over = make_alert("A", host="a", ends_at=NOW)

    (*_, last) = story(
        made, outbound, notification(*alerts), notification(alerts[1], over, make_alert("B"))
    )

    key = {alert.labels.get("host", "B"): f"{PART}-{alert.fingerprint}" for alert in alerts}
    assert pager.log[:2] == [f"trigger {key['a']}", f"trigger {key['b']}"]
    assert pager.log[2:] == [f"resolve {key['a']}", f"trigger {PART}-{make_alert('B').fingerprint}"]
    assert isinstance(last, Sent)
    assert pager.dropped == []


def test_an_alert_that_was_never_told_is_not_resolved(
    pager: FakePagerduty, outbound: Outbound
) -> None:
    """D10: of an alert that came and went unseen PagerDuty hears nothing."""
    made = pagerduty(pager, ", dedup_by: alert")

    assert made.notify(ends("low"), call(outbound)) == Sent("", {})
    assert pager.log == []


def test_much_to_tell_is_told_in_several_attempts(pager: FakePagerduty, outbound: Outbound) -> None:
    """An attempt that runs out of time goes on where it stopped; nothing is told twice."""
    made = pagerduty(pager, ", dedup_by: alert")
    told = notification(*(make_alert("A", host=str(n)) for n in range(6)))
    taken = b'{"dedup_key":"x"}'
    pager.answer_next(*[Answer(202, taken)] * 3, Answer(429, headers={"Retry-After": "7"}))

    first = made.notify(told, call(outbound))
    assert isinstance(first, Retry)
    second = made.notify(told, call(outbound, first.memory))

    assert (first.reason, first.after) == (Reason.RATE_LIMITED, 7.0)
    assert isinstance(second, Sent)
    assert len(pager.log) == 3
    assert len(pager.seen) == 7


def test_an_old_message_s_progress_counts_for_nothing(
    pager: FakePagerduty, outbound: Outbound
) -> None:
    """What was taken of an earlier message is not skipped in a newer one."""
    made = pagerduty(pager)
    memory = {"progress": "delivery-0 abc def"}

    verdict = made.notify(fires("low"), call(outbound, memory))

    assert isinstance(verdict, Sent)
    assert "progress" not in (verdict.memory or {})
    assert len(pager.log) == 1


def test_opsgenie_walks_the_same_steps(genie: FakeOpsgenie, outbound: Outbound) -> None:
    """A step up is a new alert with its priority; the old one is closed."""
    story(opsgenie(genie), outbound, fires("low"), fires("critical"), ends("critical"))

    assert genie.log == [
        f"create {GROUP}",
        f"create {GROUP}-P1",
        f"close {GROUP}",
        f"close {GROUP}-P1",
    ]
    assert (genie.open, genie.dropped, genie.refused) == ({}, [], [])


def test_opsgenie_is_acknowledged(genie: FakeOpsgenie, outbound: Outbound) -> None:
    """Somebody took it on: the alert stays open and is acknowledged."""
    told: Call = call(outbound)
    opsgenie(genie).notify(notification(why=Why.ACKNOWLEDGED), told)

    assert genie.log == [f"acknowledge {GROUP}"]
