"""Whole stories through the pipeline, as targets with a memory of their own live them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.build import make_alert
from tests.sink import Sink
from tests.workers.alerting.house import House
from tests.workers.alerting.notifiers.fakes import FakePagerduty, FakeSlack

ROUTE = """
route:
  receiver: page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 5m
"""


@pytest.fixture
def pager() -> Iterator[FakePagerduty]:
    """Yield a PagerDuty of our own."""
    fake = FakePagerduty()
    yield fake
    fake.close()


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """Yield a Slack of our own."""
    fake = FakeSlack()
    yield fake
    fake.close()


def test_a_credential_climbs_and_is_rotated(
    build: Callable[..., House], pager: FakePagerduty
) -> None:
    """Each step is an incident as severe as it is, never two; the end closes the last one."""
    target = f"pagerduty_configs: [{{routing_key: k, url: '{pager.url}/v2/enqueue'}}]"
    house = build(f"{ROUTE}receivers: [{{name: page, {target}}}]")
    found = []
    before = ""
    for severity in ("low", "medium", "high", "critical"):
        if before:
            house.report(make_alert("A", severity=before, now=house.now, ends_at=house.now))
        house.report(make_alert("A", severity=severity, now=house.now))
        house.work()
        house.pass_time(70)
        found.append(sorted(pager.open.values()))
        before = severity

    house.report(make_alert("A", severity=before, now=house.now, ends_at=house.now))
    house.pass_time(130)

    assert found == [["info"], ["warning"], ["error"], ["critical"]]
    assert (pager.open, pager.dropped, pager.refused) == ({}, [], [])


def test_a_channel_sees_one_message_for_each_incident(
    build: Callable[..., House], slack: FakeSlack
) -> None:
    """A group that comes again is a new message; what happened within one is in its thread."""
    target = f"slack_configs: [{{app_token: xoxb-1, channel: '#o', app_url: '{slack.url}'}}]"
    house = build(f"{ROUTE}receivers: [{{name: page, {target}}}]")
    for _ in range(2):
        for host in ("a", "b"):
            house.report(make_alert("A", host=host, now=house.now))
            house.work()
            house.pass_time(70)
        for host in ("a", "b"):
            house.report(make_alert("A", host=host, now=house.now, ends_at=house.now))
        house.pass_time(130)

    assert [told["attachments"][0]["color"] for told in slack.messages.values()] == ["#2eb886"] * 2
    assert [[said.split(",")[0] for said in thread] for thread in slack.threads.values()] == [
        ["New: host=b", "All resolved"]
    ] * 2
    assert slack.refused == []


def test_each_message_has_an_id_of_its_own(build: Callable[..., House], sink: Sink) -> None:
    """A receiver that drops repeats by their id loses nothing, not even of a group that is back."""
    target = f"webhook_configs: [{{url: '{sink.url}'}}]"
    house = build(f"{ROUTE}receivers: [{{name: page, {target}}}]")
    for _ in range(2):
        house.report(make_alert("A", now=house.now))
        house.work()
        house.pass_time(70)
        house.report(make_alert("A", now=house.now, ends_at=house.now))
        house.pass_time(130)

    ids = [seen.headers["x-delivery-id"] for seen in sink.seen]
    assert len(ids) == len(set(ids)) == 4
