"""Target `slack` with a bot's token: a group is one message with a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson
import pytest

from tests.build import NOW, make_alert
from tests.sink import Answer
from tests.workers.alerting.notifiers.conformance import call, notification
from tests.workers.alerting.notifiers.fakes import FakeSlack
from tests.workers.alerting.notifiers.test_slack import bot
from workers.alerting.notification import Notification, Why
from workers.outbound import Outbound, Retry, Sent, Verdict


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """Yield a Slack of our own."""
    fake = FakeSlack()
    yield fake
    fake.close()


@pytest.fixture
def tell(slack: FakeSlack, outbound: Outbound) -> Callable[..., Verdict]:
    """Return how to tell a bot one message after the other, each a delivery of its own."""
    memory: dict[str, str] = {}
    made = bot(slack.url)
    count = iter(range(100))

    def told(notification: Notification) -> Verdict:
        given = call(outbound, memory)._replace(delivery=f"d{next(count)}")
        verdict = made.notify(notification, given)
        memory.clear()
        memory.update(verdict.memory or {})
        return verdict

    return told


def test_a_group_is_one_message_with_a_thread(
    slack: FakeSlack, tell: Callable[..., Verdict]
) -> None:
    """The head is brought up to date in place, and the thread says what changed."""
    a, b = (make_alert("A", host=host) for host in "ab")
    over = make_alert("A", host="a", ends_at=NOW)
    ended = [over, make_alert("A", host="b", ends_at=NOW + 60)]

    tell(notification(a))
    tell(notification(a, b, why=Why.NEW_ALERTS))
    tell(notification(b, over, why=Why.NEW_RESOLVED))
    tell(notification(b, over, why=Why.REPEAT, at=NOW + 3600))
    tell(notification(b, over, why=Why.ACKNOWLEDGED))
    last = tell(notification(*ended, why=Why.ALL_RESOLVED, at=NOW + 60))

    (ts,) = slack.messages
    head = slack.messages[ts]
    assert head["text"] == "*RESOLVED: A document failed (2 alerts)*"
    assert head["attachments"][0]["color"] == "#2eb886"
    assert slack.threads == {
        ts: [
            "New: host=b",
            "Resolved: host=a",
            "Still firing after 1 h: 1 firing, 1 resolved.",
            "Acknowledged.",
            "All resolved, from 2027-01-15 08:00 UTC to 2027-01-15 08:01 UTC (1 min).",
        ]
    }
    assert last == Sent(ts, {})
    assert slack.refused == []


def test_without_news_there_is_no_reply(slack: FakeSlack, tell: Callable[..., Verdict]) -> None:
    """What the thread knows already is not said again."""
    tell(notification())
    tell(notification(why=Why.NEW_ALERTS))

    assert slack.threads == {}
    assert len(slack.seen) == 2


def test_many_changes_are_counted(slack: FakeSlack, tell: Callable[..., Verdict]) -> None:
    """Ten alerts are named, the rest is a number."""
    tell(notification(make_alert("A")))
    tell(notification(*(make_alert("A", host=f"{n:02}") for n in range(13))))

    (said,) = next(iter(slack.threads.values()))
    assert said.splitlines()[0] == "New: host=00"
    assert said.splitlines()[-1] == "New: 3 more"


def test_updates_go_to_the_channel_s_id(slack: FakeSlack, tell: Callable[..., Verdict]) -> None:
    """The first message names the channel; what follows uses the id that came back."""
    tell(notification())
    tell(notification(why=Why.REPEAT))

    channels = [orjson.loads(seen.body)["channel"] for seen in slack.seen]
    assert channels == ["#ops", FakeSlack.CHANNEL, FakeSlack.CHANNEL]


def test_a_message_that_is_gone_is_posted_anew(
    slack: FakeSlack, tell: Callable[..., Verdict]
) -> None:
    """If somebody deleted the head, there is a new one and no reply to the old."""
    tell(notification())
    slack.messages.clear()

    verdict = tell(notification(make_alert("A"), make_alert("B"), why=Why.NEW_ALERTS))

    assert isinstance(verdict, Sent)
    assert len(slack.messages) == 1
    assert slack.threads == {}


def test_a_reply_that_breaks_off_does_not_repeat_the_head(
    slack: FakeSlack, tell: Callable[..., Verdict], outbound: Outbound
) -> None:
    """What was updated is remembered: another attempt only replies."""
    tell(notification(make_alert("A")))
    (ts,) = slack.messages
    given = call(outbound, {"ts": ts, "channel": FakeSlack.CHANNEL, "fired": "x"})
    told = notification(make_alert("A"), make_alert("B"), why=Why.NEW_ALERTS)
    made = bot(slack.url)
    slack.answer_next(Answer(200, b'{"ok":true,"ts":"9","channel":"C0123"}'), Answer(500))

    broken = made.notify(told, given)
    assert isinstance(broken, Retry)
    before = len(slack.seen)
    again = made.notify(told, given._replace(memory=broken.memory or {}))

    assert isinstance(again, Sent)
    assert [seen.path for seen in slack.seen[before:]] == ["/api/chat.postMessage"]


def test_without_updates_each_notification_is_a_message(
    slack: FakeSlack, outbound: Outbound
) -> None:
    """`update_message: false` posts as a webhook does."""
    made = bot(slack.url, ", update_message: false")

    for _ in range(2):
        made.notify(notification(), call(outbound, {"ts": "1", "channel": "C"}))

    assert len(slack.messages) == 2
    assert (made.stateful, made.acknowledges) == (False, False)
