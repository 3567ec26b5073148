"""What every HTTP target must do, whatever it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from workers.alert import Alert
from workers.alerting.notification import Call, Notification, Notifier, Why
from workers.alerting.notifiers import TARGETS, Ambient
from workers.document import parse
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent, Verdict
from workers.section import Secret

CANARY = "c4nary"
CLIENT = [400, 404, 422]


class Make(Protocol):
    """Makes a target that calls this URL."""

    def __call__(self, url: str) -> Notifier:
        """Return the target; every secret it has contains the canary."""
        ...


def notification(*alerts: Alert, at: float = NOW, **overrides: Any) -> Notification:
    """Return a message about these alerts, or about one that fires."""
    named: dict[str, Any] = {
        "group_key": '{}:{alertname="A"}',
        "dedup_key": "d" * 64,
        "receiver": "team",
        "why": Why.FIRST,
        "at": at,
        "planned": at,
        "flush": 1,
        "group_labels": {"alertname": "A"},
        "alerts": alerts or (make_alert("A"),),
        "external_url": "https://hooks.example/",
    }
    return Notification(**{**named, **overrides})


def call(
    outbound: Outbound, memory: Mapping[str, str] | None = None, *, repeated: bool = False
) -> Call:
    """Return what a notifier is called with."""
    return Call(outbound, memory or {}, "delivery-1", NOW, repeated)


def target(kind: str, text: str, ambient: Ambient | None = None) -> Notifier:
    """Return a target as its entry in a configuration describes it."""
    section = parse(text, file="hooks.yml", base=Path("/nowhere"))
    made = TARGETS[kind](section, ambient or Ambient())
    section.close()
    section.findings.raise_if_any()
    return made


class Conformance:
    """Inherit, and give the fixtures `make` and `taken` (status and body of a success).

    `READS` says that a success is told by the body as well as by the status, `CALLS_AT` how many
    calls a status takes where it is not one, and `HUGE_CALLS` how many calls 500 alerts take.
    """

    READS: ClassVar[bool] = False
    CALLS_AT: ClassVar[Mapping[int, int]] = {}
    HUGE_CALLS: ClassVar[int] = 1

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return how the target says that it took a message."""
        return 200, b"{}"

    @pytest.fixture
    def refused(self) -> Callable[[int], bytes]:
        """Return what the body of a refusal is; whatever it is, nothing of it may show."""
        return lambda _: CANARY.encode()

    def tell(self, make: Make, sink: Sink, outbound: Outbound) -> Verdict:
        """Tell the sink once."""
        return make(f"{sink.url}/{CANARY}").notify(notification(), call(outbound))

    def test_success(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """What the target takes is sent, in one call."""
        sink.answer(*taken)

        assert isinstance(self.tell(make, sink, outbound), Sent)
        assert len(sink.seen) == 1

    @pytest.mark.parametrize("status", [*CLIENT, 401, 403, 410, 413, 301])
    def test_refusal(
        self,
        make: Make,
        sink: Sink,
        outbound: Outbound,
        status: int,
        refused: Callable[[int], bytes],
    ) -> None:
        """What the target refuses is never tried again, and a redirect is not followed."""
        sink.answer(status, refused(status), headers={"Location": f"{sink.url}/x"})

        verdict = self.tell(make, sink, outbound)

        assert isinstance(verdict, Permanent)
        assert CANARY not in repr(verdict)
        assert len(sink.seen) == self.CALLS_AT.get(status, 1)

    def test_unreadable_answer(self, make: Make, sink: Sink, outbound: Outbound) -> None:
        """A success in words that are not the target's may come from anyone in between."""
        sink.answer(200, b"<html>c4nary</html>")

        verdict = self.tell(make, sink, outbound)

        assert CANARY not in repr(verdict)
        if self.READS:
            assert verdict == Retry(Reason.OTHER, "unreadable answer", ambiguous=True)
        else:
            assert isinstance(verdict, Sent)

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_trouble(
        self,
        make: Make,
        sink: Sink,
        outbound: Outbound,
        status: int,
        refused: Callable[[int], bytes],
    ) -> None:
        """What may pass is tried again."""
        sink.answer(status, refused(status))

        verdict = self.tell(make, sink, outbound)

        assert isinstance(verdict, Retry)
        assert verdict.after is None

    def test_retry_after(
        self, make: Make, sink: Sink, outbound: Outbound, refused: Callable[[int], bytes]
    ) -> None:
        """D2: the target's wish is passed on."""
        sink.answer(429, refused(429), headers={"Retry-After": "12"})

        verdict = self.tell(make, sink, outbound)

        assert isinstance(verdict, Retry)
        assert (verdict.reason, verdict.after) == (Reason.RATE_LIMITED, 12.0)

    def test_time_out(self, make: Make, sink: Sink, impatient: Outbound) -> None:
        """A target that hangs is tried again, in doubt whether it took the message."""
        sink.answer(hang=5)

        verdict = self.tell(make, sink, impatient)

        assert isinstance(verdict, Retry)
        assert (verdict.reason, verdict.ambiguous) == (Reason.DEADLINE, True)
        assert CANARY not in repr(verdict)

    def test_no_connection(self, make: Make, outbound: Outbound) -> None:
        """A target that is not there is tried again, with no doubt that it took nothing."""
        verdict = make(f"http://127.0.0.1:1/{CANARY}").notify(notification(), call(outbound))

        assert isinstance(verdict, Retry)
        assert not verdict.ambiguous
        assert CANARY not in repr(verdict)

    def test_oversized_answer(self, make: Make, sink: Sink, outbound: Outbound) -> None:
        """An answer that nobody should read is tried again."""
        sink.answer(200, b"x" * 70_000)

        verdict = self.tell(make, sink, outbound)

        assert isinstance(verdict, Retry)

    def test_no_secret_shows(
        self, make: Make, sink: Sink, outbound: Outbound, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither the target's printed form nor any log holds a secret."""
        made = make(f"{sink.url}/{CANARY}")
        with caplog.at_level("DEBUG"):
            made.notify(notification(), call(outbound))

        assert CANARY not in repr(made) + made.account
        assert CANARY not in caplog.text

    def test_a_hostile_group(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """Whatever an event says, the target is told something that it takes."""
        sink.answer(*taken)
        hostile = make_alert(
            "A\r\nBcc: x@y",
            host="\x00\u2028é🎈",
            annotations={
                "summary": "<!channel>\r\nX: [a](http://evil) & <b>",
                "description": "\x1b[31m" + "🎈" * 4000,
                "runbook_url": "javascript:alert(1)",
            },
        )

        assert isinstance(make(sink.url).notify(notification(hostile), call(outbound)), Sent)

    @pytest.mark.parametrize("over", [True, False])
    def test_acknowledgement_and_end(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes], *, over: bool
    ) -> None:
        """Every target can be told that somebody took it on, and that it is over."""
        sink.answer(*taken)
        alert = make_alert("A", ends_at=NOW) if over else make_alert("A")
        told = notification(alert, why=Why.ALL_RESOLVED if over else Why.ACKNOWLEDGED)

        assert isinstance(make(sink.url).notify(told, call(outbound)), Sent)

    def test_huge_group(
        self, make: Make, sink: Sink, outbound: Outbound, taken: tuple[int, bytes]
    ) -> None:
        """A group of many large alerts is told in as few calls as the target allows."""
        sink.answer(*taken)
        alerts = [
            make_alert("A", host=str(n), annotations={"description": "x" * 5000})
            for n in range(500)
        ]

        verdict = make(sink.url).notify(notification(*alerts, truncated=7), call(outbound))

        assert isinstance(verdict, Sent)
        assert len(sink.seen) == self.HUGE_CALLS


def gone() -> Secret:
    """Return a secret whose file is not there."""
    return Secret(file=Path("/nowhere/c4nary"))
