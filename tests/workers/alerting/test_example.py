"""The shipped example, as it stands, and the default routes: what each event comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from redis import Redis

from receiver.broker import Keys
from receiver.event import parse as parse_event
from receiver.settings import load
from tests.build import INSTANCE, NOW, iso, make_event
from tests.sink import Seen, Sink
from tests.workers.alerting.house import KEY, PREFIX, TAKEN, House
from workers.alert import Alert
from workers.alerting.bursts import burst, bursts_lua
from workers.alerting.config import AlertingConfig
from workers.alerting.default_routes import default_config
from workers.alerting.groups import groups_lua
from workers.cli.check_config import example_text
from workers.configuration import Configuration, configuration
from workers.handlers import HANDLERS, Context, Policy
from workers.ledger.transitions import Ledger
from workers.settings import WorkerSettings

DAY = 86_400.0
MONDAY_NOON = datetime(2027, 1, 18, 12, tzinfo=UTC).timestamp()
MONDAY_NIGHT = datetime(2027, 1, 18, 3, tzinfo=UTC).timestamp()

ALERTS, CHANGES, CHAT = "/v2/enqueue", "/v2/change/enqueue", "/chat"


class Desk:
    """Events come in, handlers decide, alerting tells the sink; the clock moves by hand."""

    def __init__(self, redis: Redis, sink: Sink, config: AlertingConfig, policy: Policy) -> None:
        self.sink = sink
        self.policy = policy
        self.house = House(redis, config)
        fragments = (groups_lua(), bursts_lua())
        self.ledger = Ledger(redis, Keys(PREFIX), dedup_window=60.0, fragments=fragments)
        self._sent = 0
        sink.answer(202, TAKEN)
        sink.answer(200, b"ok", path=CHAT)

    def event(self, kind: str, data: Mapping[str, Any] | None = None) -> None:
        """Bring one event, dated now, from the handler's decision to its groups."""
        self._sent += 1
        now = self.house.now
        body = make_event(kind, event_id=f"evt_{self._sent}", timestamp=iso(now), data=data or {})
        event = parse_event(orjson.dumps(body), endpoint="default", received_at=now)
        context = Context(now=now, deadline=now + 20, policy=self.policy)
        decision = HANDLERS[event.kind](event, context)
        effects = self.house.groups.effects(decision.alerts, now)
        if decision.burst is not None:
            found = decision.burst
            effects.append(
                burst(
                    PREFIX,
                    found.of,
                    member=found.event_key,
                    at=found.received_at,
                    window=found.window,
                    least=found.least,
                    effects=self.house.groups.effects(found.alerts(), now),
                )
            )
        self.ledger.apply(effects)

    def pages(self) -> list[tuple[str, str]]:
        """Return what PagerDuty was told: the action, and its severity where it opens."""
        return [
            (body["event_action"], body.get("payload", {}).get("severity", ""))
            for body in self._bodies(ALERTS)
        ]

    def open(self) -> list[str]:
        """Return the severity of each incident that is open at PagerDuty."""
        held: dict[str, str] = {}
        for body in self._bodies(ALERTS):
            if body["event_action"] == "trigger":
                # A trigger on an open incident does not change its severity.
                held.setdefault(body["dedup_key"], body["payload"]["severity"])
            else:
                assert held.pop(body["dedup_key"], None), "a resolve with nothing open"
        return sorted(held.values())

    def changes(self) -> list[str]:
        """Return the summaries of the change events."""
        return [body["payload"]["summary"] for body in self._bodies(CHANGES)]

    def posts(self) -> int:
        """Return how many messages the team got."""
        return len(self._seen(CHAT))

    def _bodies(self, path: str) -> list[dict[str, Any]]:
        return [orjson.loads(request.body) for request in self._seen(path)]

    def _seen(self, path: str) -> list[Seen]:
        return [request for request in self.sink.seen if request.path == path]


@pytest.fixture
def shipped(sink: Sink, tmp_path: Path) -> Configuration:
    """Return the example as it stands, with secrets where it looks for them and PagerDuty here."""
    (tmp_path / "pagerduty-routing-key").write_text(KEY)
    (tmp_path / "slack-webhook-url").write_text(f"{sink.url}{CHAT}")
    text = example_text().replace("/run/secrets/", f"{tmp_path}/")
    text = text.replace("  global:\n", f"  global:\n    pagerduty_url: {sink.url}{ALERTS}\n")
    file = tmp_path / "hooks.yaml"
    file.write_text(text)
    return configuration(load(WorkerSettings, {"SYNAP_CONFIG": str(file)}))


@pytest.fixture
def desk(redis: Redis, sink: Sink, shipped: Configuration) -> Iterator[Desk]:
    """Yield a desk that goes by the example, on a Monday at noon."""
    found = Desk(redis, sink, shipped.alerting, shipped.policy)
    found.house.now = MONDAY_NOON
    yield found
    found.house.outbound.close()


def test_what_it_says_about_events_holds_anyway(shipped: Configuration) -> None:
    """The example's tables are the defaults, written out."""
    assert shipped.policy == Policy()
    assert shipped.alerting.warnings == ()


def test_a_credential_climbs(desk: Desk) -> None:
    """At 14, 7, 3 and 1 days the incident of the step before closes and one above it opens."""
    for days, severity in ((14, "info"), (7, "warning"), (3, "error"), (1, "critical")):
        desk.event("credential.expiring", {"days_remaining": days})
        desk.house.pass_time(240, step=10)
        assert desk.open() == [severity], days

    opened = [severity for action, severity in desk.pages() if action == "trigger"]
    assert opened == ["info", "warning", "error", "critical"]
    assert [action for action, _ in desk.pages()].count("resolve") == 3


def test_a_credential_that_is_no_longer_reported(desk: Desk) -> None:
    """When the credential's time is over without another report, its incident closes."""
    desk.event("credential.expiring", {"days_remaining": 1})
    desk.house.pass_time(60, step=10)
    assert desk.open() == ["critical"]

    desk.house.pass_time(DAY + 600, step=300)
    assert desk.open() == []


def test_early_steps_wait_for_the_office(desk: Desk) -> None:
    """At night two weeks left page nobody; in the morning they do; a day left pages at once."""
    desk.house.now = MONDAY_NIGHT
    desk.event("credential.expiring", {"credential_id": "far", "days_remaining": 14})
    desk.event("credential.expiring", {"credential_id": "near", "days_remaining": 1})
    desk.house.pass_time(60, step=10)
    assert desk.open() == ["critical"]

    desk.house.pass_time(6 * 3600, step=60)
    assert desk.open() == ["critical", "info"]


def test_a_burst_pages_and_single_failures_do_not(desk: Desk) -> None:
    """Nineteen failures within five minutes are the team's; the twentieth pages, once."""
    for _ in range(19):
        desk.event("ingestion.failed")
    desk.house.pass_time(60, step=5)
    assert desk.pages() == []
    assert desk.posts() == 1

    for _ in range(5):
        desk.event("ingestion.failed")
    desk.house.pass_time(60, step=5)
    assert desk.pages() == [("trigger", "critical")]


def test_failures_end_after_a_quiet_time(desk: Desk) -> None:
    """Fifteen minutes after the last failure both the burst and its parts are over."""
    for _ in range(25):
        desk.event("ingestion.failed")
    desk.house.pass_time(600, step=10)
    assert desk.open() == ["critical"]

    desk.house.pass_time(900, step=10)
    assert desk.open() == []
    assert desk.house.group_ids() == []


def test_what_stops_everything_pages_at_once(desk: Desk) -> None:
    """A refused key or an empty account is no matter of how often."""
    desk.event("ingestion.failed", {"error_code": "CREDENTIAL_INVALID"})
    desk.event("ingestion.failed", {"error_code": "INSUFFICIENT_CREDITS"})
    desk.house.pass_time(60, step=5)

    assert desk.open() == ["critical", "error"]


def test_failures_are_grouped_by_instance_and_error(desk: Desk) -> None:
    """Each error of each instance is one message, however many documents it met."""
    for code in ("BAD_PDF", "BAD_PDF", "TOO_LONG"):
        desk.event("ingestion.failed", {"error_code": code, "stage": code})
    desk.house.pass_time(60, step=5)

    assert desk.posts() == 2


def test_an_applied_configuration_is_a_change_event(desk: Desk) -> None:
    """A change is shown beside the incidents, each by itself, and opens none."""
    desk.event("config.applied")
    desk.event("config.applied", {"config_id": "cfg_3", "previous_config_id": "cfg_2"})
    desk.house.pass_time(60, step=5)

    assert desk.changes() == [
        f"Configuration cfg_2 (version 2) is active on {INSTANCE}",
        f"Configuration cfg_3 (version 2) is active on {INSTANCE}",
    ]
    assert desk.pages() == []
    assert desk.posts() == 0


def test_an_objection_pages(desk: Desk) -> None:
    """What is not information any more about a configuration is an alert."""
    alert = Alert(
        labels={
            "alertname": "SynapConfigViolation",
            "severity": "high",
            "event_type": "config.applied",
            "instance_id": INSTANCE,
        },
        starts_at=desk.house.now,
        updated_at=desk.house.now,
    )
    desk.house.report(alert)
    desk.house.pass_time(60, step=5)

    assert desk.open() == ["error"]


def test_a_cleanup_is_information_unless_it_deleted_too_much(desk: Desk) -> None:
    """A usual run is a post; one that deletes half of all memories pages."""
    desk.event("retention.cleanup")
    desk.house.pass_time(60, step=5)
    assert (desk.pages(), desk.posts()) == ([], 1)

    desk.event("retention.cleanup", {"memories_deleted": 2000})
    desk.house.pass_time(60, step=5)
    assert desk.open() == ["error"]


EVENTS = [
    pytest.param(
        "credential.expiring", {"days_remaining": 14}, ["slack", "pagerduty", "log"], id="14"
    ),
    pytest.param("credential.expiring", {"days_remaining": 30}, ["slack", "log"], id="30 days"),
    pytest.param("ingestion.failed", {}, ["slack", "log"], id="one failure"),
    pytest.param(
        "ingestion.failed", {"error_code": "401"}, ["slack", "pagerduty", "log"], id="key refused"
    ),
    pytest.param("config.applied", {}, ["slack", "pagerduty-changes", "log"], id="a change"),
    pytest.param("retention.cleanup", {}, ["slack", "log"], id="a run"),
    pytest.param(
        "retention.cleanup",
        {"memories_deleted": 4000},
        ["slack", "pagerduty", "log"],
        id="too much deleted",
    ),
]


@pytest.mark.parametrize(("kind", "data", "receivers"), EVENTS)
def test_default_routes(kind: str, data: dict[str, Any], receivers: list[str]) -> None:
    """Without a file the same holds in short: who hears of which event."""
    config = default_config(SecretStr("key"), SecretStr("https://hooks.example.com/x"))
    body = make_event(kind, timestamp=iso(NOW), data=data)
    event = parse_event(orjson.dumps(body), endpoint="default", received_at=NOW)

    alert, *_ = HANDLERS[kind](event, Context(now=NOW, deadline=NOW + 20)).alerts

    assert [route.options.receiver for route in config.route.match(alert.labels)] == receivers


def test_a_burst_by_default() -> None:
    """Without a file a burst pages as well."""
    config = default_config(SecretStr("key"), None)
    event = parse_event(orjson.dumps(make_event()), endpoint="default", received_at=NOW)

    found = HANDLERS["ingestion.failed"](event, Context(now=NOW, deadline=NOW + 20)).burst

    assert found
    (alert,) = found.alerts()
    reached = [route.options.receiver for route in config.route.match(alert.labels)]
    assert reached == ["pagerduty", "log"]


def test_a_credential_climbs_by_default(redis: Redis, sink: Sink) -> None:
    """Without a file a credential climbs as well, one open incident at a time."""
    routes = default_config(SecretStr(KEY), None)
    (one,) = routes.receivers["pagerduty"].integrations
    object.__setattr__(one.notifier, "url", f"{sink.url}{ALERTS}")
    desk = Desk(redis, sink, routes, Policy())
    for days, severity in ((14, "info"), (7, "warning"), (3, "error"), (1, "critical")):
        desk.event("credential.expiring", {"days_remaining": days})
        desk.house.pass_time(240, step=10)
        assert desk.open() == [severity], days
    desk.house.outbound.close()
