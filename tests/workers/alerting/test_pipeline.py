"""What is held back, in which order, and what is never lost by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import (
    PREFIX,
    TAKEN,
    House,
    bodies,
    config_of,
    events,
    open_incidents,
    page,
)
from workers.alerting.acknowledgements import AcknowledgementBook
from workers.alerting.flush import Flush, Held, Options
from workers.alerting.history import AlertHistory
from workers.alerting.matchers import Matcher, Op
from workers.alerting.notification import Call, Notification
from workers.alerting.operations import Operations
from workers.alerting.pipeline import hear
from workers.alerting.ports import Decision
from workers.alerting.receivers import Integration, Receiver
from workers.alerting.silence_book import SilenceBook
from workers.alerting.silences import Silence
from workers.outbound import Sent, Verdict

ALERTS = {name: make_alert(name) for name in "ABC"}

# 15 January 2027 08:00 UTC, a Friday
NIGHT = """
time_intervals:
  - name: morning
    time_intervals: [{times: [{start_time: '08:00', end_time: '09:00'}]}]
"""


def flush(**ends: float) -> Flush:
    """Return a group of three alerts, of which some are over."""
    held = {
        name: Held("", make_alert(name, ends_at=ends.get(name), now=NOW - 10)) for name in "ABC"
    }
    return Flush(
        gid="g",
        slot="{}#0",
        key="{}",
        group_labels={},
        options=Options("r", 60.0, 300.0, {}),
        number=1,
        due=NOW,
        now=NOW,
        held=held,
        log={},
    )


def only(*names: str, reason: str) -> Any:
    """Return a question that says why some alerts are not heard."""
    return lambda labels: reason if labels["alertname"] in names else None


def test_the_order_of_the_pipeline() -> None:
    """B22: inhibition is asked first, then times, then silences; each reason is the first one."""
    found = hear(flush(), only("A", reason="inhibited"), (), only("A", "B", reason="s1"))

    assert dict(found.reasons) == {"A": "inhibited", "B": "silenced by s1"}
    assert found.firing == {"C"}


def test_times_hold_the_whole_group_back() -> None:
    """B22, B23: a muted group drops firing and resolved alerts alike, and asks no silences."""
    found = hear(flush(B=NOW - 1), only(reason=""), ("night",), only("C", reason="s1"))

    assert (found.anything, found.muted, dict(found.reasons)) == (False, ("night",), {})


def test_nothing_left_to_mute_is_not_muted() -> None:
    """B22: a group of which nothing is left after inhibition never comes to the times."""
    found = hear(flush(), only(*"ABC", reason="inhibited"), ("night",), only(reason=""))

    assert (found.anything, found.muted) == (False, ())


def test_alerts_are_held_back_singly() -> None:
    """B23: what is inhibited or silenced leaves the others of its group."""
    found = hear(flush(B=NOW - 1), only("A", reason="inhibited"), (), only("C", reason="s1"))

    assert (found.firing, found.resolved) == (frozenset(), frozenset("B"))


def muted(sink: Sink, how: str = "mute_time_intervals: [morning]", more: str = "") -> str:
    """Return a configuration whose route for A does not notify between 8 and 9."""
    route = f"    - {{matchers: [alertname=A], {how}, routes: [{{}}]}}"
    return page(sink, routes=route) + NIGHT + more


@pytest.fixture
def taken(sink: Sink) -> Sink:
    """Return a sink that takes everything."""
    sink.answer(202, TAKEN)
    return sink


def test_time_intervals_are_not_inherited(build: Build, taken: Sink) -> None:
    """B4: a child of a muted route is not muted itself."""
    home = build(muted(taken))

    home.report(make_alert("A"))
    home.work()

    assert len(taken.seen) == 1


def test_a_muted_route_speaks_when_its_time_is_over(build: Build, taken: Sink) -> None:
    """B38, B23: what was dropped while muted is told at the first flush after it."""
    home = build(muted(taken).replace(", routes: [{}]", ""))
    home.report(make_alert("A"))
    home.work()
    home.pass_time(3590, step=30)
    during = len(taken.seen)

    home.pass_time(120, step=30)

    assert (during, len(taken.seen)) == (0, 1)


def test_an_active_interval_is_the_other_way_round(build: Build, taken: Sink) -> None:
    """B38: a route with active intervals speaks within them."""
    text = muted(taken, "active_time_intervals: [morning]").replace(", routes: [{}]", "")
    home = build(text)
    home.report(make_alert("A"))
    home.work()
    within = len(taken.seen)
    home.now += 3600
    home.report(make_alert("A", host="2", now=home.now))
    home.pass_time(120, step=30)

    assert (within, len(taken.seen)) == (1, 1)


def test_an_end_is_told_at_a_muted_time(build: Build, taken: Sink) -> None:
    """D1: what opened before the mute began closes within it."""
    home = build(muted(taken).replace(", routes: [{}]", ""))
    home.now = NOW - 120
    home.report(make_alert("A", now=home.now))
    home.work()
    home.now = NOW + 60
    home.report(make_alert("A", ends_at=home.now, now=home.now))

    home.pass_time(61)

    assert [action for action, _ in events(taken)] == ["trigger", "resolve"]
    assert home.group_ids() == []


def test_an_end_at_a_muted_time_can_be_left_out(build: Build, taken: Sink) -> None:
    """D1: with `resolve_when_muted: false` the end is dropped, as Alertmanager does."""
    text = "global: {resolve_when_muted: false}\n" + muted(taken).replace(", routes: [{}]", "")
    home = build(text)
    home.now = NOW - 120
    home.report(make_alert("A", now=home.now))
    home.work()
    home.now = NOW + 60
    home.report(make_alert("A", ends_at=home.now, now=home.now))

    home.pass_time(61)

    assert [action for action, _ in events(taken)] == ["trigger"]
    assert home.group_ids() == []


def test_after_a_dropped_end_new_trouble_is_told(build: Build, taken: Sink) -> None:
    """D1: an end that was dropped clears the log, so that the next trouble is news."""
    text = "global: {resolve_when_muted: false}\n" + muted(taken).replace(", routes: [{}]", "")
    home = build(text)
    home.now = NOW - 120
    home.report(make_alert("A", now=home.now))
    home.work()
    home.now = NOW + 60
    home.report(make_alert("A", ends_at=home.now, now=home.now))
    home.pass_time(61)
    home.now = NOW + 3601
    home.report(make_alert("A", now=home.now))

    home.pass_time(5)

    assert [action for action, _ in events(taken)] == ["trigger", "trigger"]


def silence(home: House, name: str, *, seconds: float = 3600.0) -> str:
    """Silence an alert name from now on; return the silence's id."""
    wanted = Silence(
        id="",
        sets=((Matcher("alertname", Op.EQUAL, name),),),
        starts_at=home.now,
        ends_at=home.now + seconds,
        author="dana",
        reason="works",
        updated_at=home.now,
    )
    return SilenceBook(home.redis, PREFIX).put(wanted, now=home.now).id


def test_a_silenced_alert_is_not_told(home: House, sink: Sink) -> None:
    """B23: a silence holds an alert back, and what it held back is told when it ends."""
    silence(home, "A", seconds=100)
    home.report(make_alert("A"))
    home.work()
    home.pass_time(99)
    during = len(sink.seen)

    home.pass_time(62)

    assert (during, len(sink.seen)) == (0, 1)


def test_a_silence_does_not_close_what_is_open(home: House, sink: Sink) -> None:
    """D1: an incident stays open while its alert fires unheard, and closes when it is over."""
    home.report(make_alert("A"))
    home.work()
    silence(home, "A")
    home.pass_time(62)
    during = open_incidents(sink.seen)
    home.report(make_alert("A", ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert len(during) == 1
    assert open_incidents(sink.seen) == set()
    assert home.group_ids() == []


def test_one_of_two_that_ends_in_silence_closes_nothing(build: Build, sink: Sink) -> None:
    """D1: the end of a part is no end of the whole."""
    sink.answer(202, TAKEN)
    home = build(page(sink).replace("[alertname]", "[instance_id]"))
    home.report(make_alert("A"), make_alert("B"))
    home.work()
    silence(home, "A")
    silence(home, "B")
    home.report(make_alert("A", ends_at=home.now, now=home.now))
    home.pass_time(62)
    half = open_incidents(sink.seen)
    home.report(make_alert("B", ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert len(half) == 1
    assert open_incidents(sink.seen) == set()


def test_a_target_that_holds_nothing_open_hears_no_muted_end(build: Build, sink: Sink) -> None:
    """D1: what keeps no state is left in peace, and its log is cleared."""
    sink.answer(200, b"ok")
    home = build(f"""
route: {{receiver: hook, group_wait: 0s, group_interval: 1m}}
receivers:
  - name: hook
    slack_configs: [{{api_url: "{sink.url}/", send_resolved: true}}]
""")
    home.report(make_alert("A"))
    home.work()
    silence(home, "A", seconds=600)
    home.report(make_alert("A", ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert len(sink.seen) == 1
    assert home.group_ids() == []


def acknowledge(home: House, *, until: float | None = None) -> None:
    """Acknowledge the only group, as the command does."""
    (gid,) = home.group_ids()
    given = AcknowledgementBook(home.redis, PREFIX).give(
        gid, author="dana", until=until, now=home.now
    )
    assert given is not None
    assert Operations(home.redis, PREFIX).poke(gid, home.now)


def test_an_acknowledgement_is_passed_on_once(home: House, sink: Sink) -> None:
    """A person who takes a group on has it acknowledged at its targets at once, and only once."""
    home.report(make_alert())
    home.work()
    acknowledge(home)

    home.pass_time(120)

    assert [action for action, _ in events(sink)] == ["trigger", "acknowledge"]


def test_an_acknowledged_group_is_not_repeated(home: House, sink: Sink) -> None:
    """Repeats are held back until the acknowledgement lapses."""
    home.report(make_alert())
    home.work()
    acknowledge(home, until=NOW + 600)
    home.pass_time(590, step=5)
    during = [action for action, _ in events(sink)]

    home.pass_time(120, step=5)

    assert during == ["trigger", "acknowledge"]
    assert [action for action, _ in events(sink)][2:] == ["trigger"]


def test_new_alerts_of_an_acknowledged_group_are_told(home: House, sink: Sink) -> None:
    """An acknowledgement holds back repeats, not news, and not the end."""
    home.report(make_alert())
    home.work()
    acknowledge(home)
    home.tick(1)
    home.report(make_alert(host="2", now=home.now))
    home.pass_time(62)
    for host in ("", "2"):
        home.report(make_alert(host=host, ends_at=home.now, now=home.now))

    home.pass_time(62)

    actions = [action for action, _ in events(sink)]
    assert actions == ["trigger", "acknowledge", "trigger", "resolve"]


def test_a_poke_during_a_flush_is_not_lost(home: House) -> None:
    """A group that is poked while it is flushed is flushed once more."""
    home.report(make_alert())
    ((_, groups),) = home.jobs()
    (gid,) = groups
    store = home.dispatcher._store
    finish = store.finish

    def meanwhile(*args: Any) -> bool:
        Operations(home.redis, PREFIX).poke(gid, home.now)
        return finish(*args)

    store.finish = meanwhile  # type: ignore[method-assign]
    home.dispatcher.flush(groups, home.now)

    assert home.source.enqueue_due(home.now + 1) == 1


def test_a_poke_needs_a_group(home: House) -> None:
    """Nobody is poked who is not there."""
    assert Operations(home.redis, PREFIX).poke("gone", NOW) is False


def decisions(home: House) -> list[tuple[Decision, str]]:
    """Return what the history says, oldest first: decision and why."""
    found = list(AlertHistory(home.redis, PREFIX).newest())
    return [(record.decision, record.why or ", ".join(record.reasons)) for record in found][::-1]


def test_every_decision_is_remembered(home: House, sink: Sink) -> None:
    """The history knows what was told, why, and what held it back."""
    home.report(make_alert("A"))
    home.work()
    silence(home, "A", seconds=600)
    home.pass_time(180)
    sink.answer(400)
    home.report(make_alert("A", ends_at=home.now, now=home.now))
    home.pass_time(62)

    assert (
        decisions(home)
        == [
            (Decision.QUEUED, "first notification"),
            (Decision.TOLD, "first notification"),
            (Decision.FILTERED, ""),
            (Decision.QUEUED, "all alerts resolved"),
            (Decision.FAILED, "all alerts resolved"),
        ]
        or decisions(home)[:4] == []
    )


def test_a_muted_group_says_by_what(build: Build, taken: Sink) -> None:
    """The history names the intervals that keep a route silent."""
    home = build(muted(taken).replace(", routes: [{}]", ""))
    home.report(make_alert("A"))

    home.work()

    assert decisions(home) == [(Decision.MUTED, "morning")]


def test_what_a_silence_holds_back_is_named(home: House) -> None:
    """The history says of each alert which silence it was."""
    found = silence(home, "A")
    home.report(make_alert("A"))

    home.work()

    (record,) = AlertHistory(home.redis, PREFIX).newest()
    assert [seen.reason for seen in record.alerts] == [f"silenced by {found}"]


def test_labels_of_routes_are_filled_in(build: Build, sink: Sink) -> None:
    """B12: a route's labels are templates over the alerts of the group at its flush."""
    sink.answer(200)
    home = build(f"""
route:
  receiver: hook
  group_wait: 0s
  labels:
    team: "{{{{ common_labels.team|upper }}}}"
    plain: x
    broken: "{{{{ alerts[9].a.b }}}}"
receivers: [{{name: hook, webhook_configs: [{{url: "{sink.url}/"}}]}}]
""")
    home.report(make_alert(team="memory"))

    home.work()

    assert bodies(sink.seen)[0]["routeLabels"] == {"team": "MEMORY", "plain": "x", "broken": ""}


def test_a_title_of_one_s_own(build: Build, sink: Sink) -> None:
    """A configured title stands wherever a target shows one; the receiver's goes first."""
    sink.answer(202, TAKEN)
    general = 'templates: {title: "general"}\n'
    home = build(
        general
        + page(sink).replace(
            "  - name: page\n",
            "  - name: page\n"
            '    templates: {title: "{{ num_firing }} of {{ group_labels.alertname }}"}\n',
        )
    )
    home.report(make_alert("A", host="1"), make_alert("A", host="2"))

    home.work()

    assert events(sink) == [("trigger", "2 of A")]


def test_a_bad_label_template_is_refused() -> None:
    """Templates are checked when the file is read."""
    with pytest.raises(Exception, match="call is not allowed in a template"):
        config_of("route: {receiver: r, labels: {a: '{{ x() }}'}}\nreceivers: [{name: r}]\n")


def test_an_acknowledgement_is_not_for_who_does_not_want_it(build: Build, sink: Sink) -> None:
    """A target that knows no acknowledgements hears of none."""
    sink.answer(200, b"ok")
    home = build(f"""
route: {{receiver: chat, group_wait: 0s, group_interval: 1m, repeat_interval: 2m}}
receivers: [{{name: chat, slack_configs: [{{api_url: "{sink.url}/chat"}}]}}]
""")
    home.report(make_alert())
    home.work()
    acknowledge(home)

    home.pass_time(300, step=5)

    assert len(sink.seen) == 1


class Board:
    """A target that holds trouble open until it is told the end; it notes what it is told."""

    send_resolved = durable = idempotent = stateful = True
    acknowledges = False
    account = "board"

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def notify(self, notification: Notification, _: Call) -> Verdict:
        """Note how many alerts fire and how many are over."""
        self.told.append((len(notification.firing), len(notification.resolved)))
        return Sent()


def test_what_ends_in_silence_beside_what_is_heard_is_said(build: Build) -> None:
    """D1: an end that is silenced is said along with what is heard of its group."""
    home = build(
        "route: {receiver: r, group_by: [instance_id], group_wait: 0s, group_interval: 1m}\n"
        "receivers: [{name: r}]"
    )
    board = Board()
    one = Integration(receiver="r", name="pagerduty/0", notifier=board)
    home.config = replace(home.config, receivers={"r": Receiver(name="r", integrations=(one,))})
    home.report(make_alert("A"), make_alert("B"))
    home.work()
    silence(home, "A")
    home.report(make_alert("A", ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert board.told == [(2, 0), (1, 1)]


def test_an_end_that_is_heard_while_others_are_silenced(build: Build, sink: Sink) -> None:
    """B24: what is heard has ended and the rest is silenced: the target is told so."""
    sink.answer(202, TAKEN)
    home = build(page(sink).replace("[alertname]", "[instance_id]"))
    home.report(make_alert("A"), make_alert("B"))
    home.work()
    silence(home, "A")
    home.report(make_alert("B", ends_at=home.now, now=home.now))

    home.pass_time(62)

    assert [action for action, _ in events(sink)] == ["trigger", "resolve"]


def test_a_template_that_fails_is_said(build: Build, sink: Sink) -> None:
    """A text that cannot be made is logged by its name, and the notification goes out."""
    sink.answer(202, TAKEN)
    home = build('templates: {title: "{{ alerts|join(1)|round }}"}\n' + page(sink))
    home.report(make_alert())

    with capture_logs() as lines:
        home.work()

    failed = [line for line in lines if line["event"] == "template.failed"]
    assert [(line["template"], line["receiver"]) for line in failed] == [("title", "page")]
    assert events(sink) == [("trigger", "A document failed")]


def test_a_flush_that_was_overtaken_by_its_own_delivery_decides_again(
    home: House, sink: Sink
) -> None:
    """D9: what was told while a flush decided counts: the flush decides once more."""
    home.report(make_alert())
    home.work()
    home.report(make_alert(host="2", now=NOW + 1))
    home.now += 61
    home.source.enqueue_due(home.now)
    ((_, groups),) = home.jobs()
    store = home.dispatcher._store
    finish = store.finish

    def meanwhile(*args: Any) -> bool:
        home.redis.hincrby(f"synap:alerting:group:{groups[0]}", "told", 1)
        return finish(*args)

    store.finish = meanwhile  # type: ignore[method-assign]
    home.dispatcher.flush(groups, home.now)
    first = len(sink.seen)
    home.dispatcher = home.worker()
    home.pass_time(2)

    assert (first, len(sink.seen)) == (1, 2)
