"""Target `alertmanager`: against a recording sink, and a real one where it is installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
import pytest

from tests.build import NOW, make_alert
from tests.servers import wait_for
from tests.sink import Answer, Sink
from tests.workers.alerting.notifiers.conformance import (
    CANARY,
    Conformance,
    Make,
    call,
    notification,
    target,
)
from workers.alerting.notification import Notifier, Why
from workers.alerting.notifiers.alertmanager import Alertmanager, named
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent
from workers.section import DocumentError

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


def one(*urls: str, more: str = "") -> Alertmanager:
    """Return a target as an entry in a configuration describes it."""
    made = target("alertmanager", f"{{urls: {list(urls)}{more}}}")
    assert isinstance(made, Alertmanager)
    return made


class TestAlertmanager(Conformance):
    """The kit, and what is Alertmanager's own."""

    HUGE_CALLS = 8

    @pytest.fixture
    def make(self) -> Make:
        """Return how to make one."""

        def made(url: str) -> Notifier:
            return one(url.removesuffix(f"/{CANARY}"), more=f", bearer_token: {CANARY}")

        return made

    @pytest.fixture
    def taken(self) -> tuple[int, bytes]:
        """Return Alertmanager's 200."""
        return 200, b""


@pytest.fixture
def other() -> Iterator[Sink]:
    """Yield a second member of the cluster."""
    recording = Sink()
    yield recording
    recording.close()


def test_every_member_is_told(sink: Sink, other: Sink, outbound: Outbound) -> None:
    """Members do not hand alerts to each other."""
    verdict = one(sink.url, f"{other.url}/").notify(notification(), call(outbound))

    assert verdict == Sent("2 of 2 members", {})
    assert [seen.path for seen in (*sink.seen, *other.seen)] == ["/api/v2/alerts"] * 2


def test_one_member_is_enough(sink: Sink, other: Sink, outbound: Outbound) -> None:
    """A member that is down hears it with the next keep-alive."""
    sink.answer(503)

    verdict = one(sink.url, other.url).notify(notification(), call(outbound))

    assert verdict == Sent("1 of 2 members", {})


def test_none_is_too_few(sink: Sink, other: Sink, outbound: Outbound) -> None:
    """If no member took it, it is tried again; one that may yet take it counts more."""
    sink.answer(401)
    other.answer(503)

    verdict = one(sink.url, other.url).notify(notification(), call(outbound))

    assert verdict == Retry(Reason.SERVER_ERROR, "status 503")


def test_batches_and_what_was_taken_of_them(sink: Sink, outbound: Outbound) -> None:
    """At most 64 alerts in a call; another attempt goes on where the first stopped."""
    told = notification(*(make_alert("A", host=str(n)) for n in range(150)))
    made = one(sink.url)
    sink.answer_next(Answer(200), Answer(500))

    first = made.notify(told, call(outbound))
    assert isinstance(first, Retry)
    second = made.notify(told, call(outbound, first.memory))

    assert isinstance(second, Sent)
    assert [len(orjson.loads(seen.body)) for seen in sink.seen] == [64, 64, 64, 22]


def test_a_batch_that_is_refused(sink: Sink, outbound: Outbound) -> None:
    """One batch that is refused does not keep the next away."""
    sink.answer_next(Answer(401), Answer(200))
    told = notification(*(make_alert("A", host=str(n)) for n in range(70)))

    verdict = one(sink.url).notify(told, call(outbound))

    assert verdict == Permanent(Reason.AUTH_ERROR, "status 401")
    assert len(sink.seen) == 2


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([200, 200], Sent("1 of 1 members", {}), id="both-halves"),
        pytest.param([200, 400], Permanent(Reason.CLIENT_ERROR, "status 400"), id="one-half"),
        pytest.param([400, 503], Retry(Reason.SERVER_ERROR, "status 503"), id="waits"),
    ],
)
def test_a_refused_batch_is_halved_once(
    sink: Sink, outbound: Outbound, answers: list[int], expected: Any
) -> None:
    """One bad alert does not keep the others away."""
    sink.answer_next(Answer(400), *(Answer(status) for status in answers))
    told = notification(*(make_alert("A", host=str(n)) for n in range(5)))

    assert one(sink.url).notify(told, call(outbound)) == expected
    assert [len(orjson.loads(seen.body)) for seen in sink.seen] == [5, 2, 3]


def test_an_alert() -> None:
    """B44: what fires ends unless it is told again; what is over ended when it did."""
    made = one("http://h", more=", resolve_timeout: 2m")
    linked = replace(make_alert("A"), generator_url="https://h/x")
    over = make_alert("A", now=NOW - 60, ends_at=NOW - 5)
    told = notification(make_alert("A"), over)

    found = [made.alert(alert, told, NOW + 3) for alert in told.alerts]

    assert [(alert["startsAt"], alert["endsAt"]) for alert in found] == [
        ("2027-01-15T08:00:00.000Z", "2027-01-15T08:02:03.000Z"),
        ("2027-01-15T07:59:00.000Z", "2027-01-15T07:59:55.000Z"),
    ]
    assert made.keep_alive == 30.0
    assert made.alert(linked, told, NOW)["generatorURL"] == "https://h/x"


@pytest.mark.parametrize(
    ("name", "expected"), [("a_b1", "a_b1"), ("a-b.c", "a_b_c"), ("1a", "_1a"), ("é", "_")]
)
def test_names_are_plain(name: str, expected: str) -> None:
    """Every Alertmanager takes ASCII letters, digits and underscores."""
    assert named(name) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "missing urls", id="none"),
        pytest.param("{urls: [x]}", "http or https URLs", id="url"),
        pytest.param("{urls: ['http://h'], resolve_timeout: 1s}", "at least 4s", id="timeout"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("alertmanager", text)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a real Alertmanager."""
    if BINARY is None:
        pytest.skip("no Alertmanager is installed")
    config = tmp_path / "am.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            BINARY,
            f"--config.file={config}",
            f"--storage.path={tmp_path}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
    )
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: _ready(url), seconds=15, what="Alertmanager")
    yield url
    process.terminate()
    process.wait()


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def _alerts(url: str) -> list[dict[str, Any]]:
    with urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def test_a_real_alertmanager_takes_it(real: str) -> None:
    """It holds what fires until it is told the end."""
    outbound = Outbound()
    now = time.time()
    fires = make_alert("A.b", now=now - 60, annotations={"summary": "é"}, **{"x-y": "1"})
    over = make_alert("A.b", now=now - 60, ends_at=now - 1, **{"x-y": "1"})
    made = one(real)

    first = made.notify(notification(fires, at=now), call(outbound)._replace(now=now))
    held = _alerts(real)
    second = made.notify(
        notification(over, at=now, why=Why.ALL_RESOLVED), call(outbound)._replace(now=now)
    )
    left = _alerts(real)
    outbound.close()

    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert [alert["labels"]["x_y"] for alert in held] == ["1"]
    assert held[0]["annotations"] == {"summary": "é"}
    assert left == []
