"""Target `apprise`, and what is optional."""

from __future__ import annotations

import json
import os
import time

import orjson
import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.notifiers.conformance import CANARY, call, gone, notification, target
from workers.alerting.notification import Why
from workers.alerting.notifiers.apprise import Apprise, hand_over, kind
from workers.alerting.notifiers.apprise_call import _plugin
from workers.alerting.notifiers.extras import require
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent
from workers.section import DocumentError, Findings, Section


def one(sink: Sink) -> Apprise:
    """Return a target that posts JSON to the sink by Apprise's own means."""
    made = target("apprise", f"url: 'json://127.0.0.1:{sink.port}/{CANARY}'")
    assert isinstance(made, Apprise)
    return made


def test_a_message_goes_out(sink: Sink, outbound: Outbound) -> None:
    """Headline, text and how bad it is are handed over."""
    verdict = one(sink).notify(notification(make_alert(severity="critical")), call(outbound))

    assert verdict == Sent()
    body = orjson.loads(sink.seen[0].body)
    assert (body["title"], body["type"]) == ("FIRING: A document failed", "failure")
    assert body["message"].startswith("When: since 2027-01-15 08:00 UTC")


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_a_failure_may_pass(sink: Sink, outbound: Outbound, status: int) -> None:
    """Apprise does not say why, so it is tried again."""
    sink.answer(status)

    verdict = one(sink).notify(notification(), call(outbound))

    assert verdict == Retry(Reason.OTHER, "Apprise could not tell it", ambiguous=True)


def test_no_secret_shows(sink: Sink, outbound: Outbound, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the printed form nor any log holds the URL."""
    made = one(sink)
    with caplog.at_level("DEBUG"):
        made.notify(notification(), call(outbound))

    assert CANARY not in repr(made) + made.account + caplog.text


def test_a_call_without_end_is_ended(sink: Sink) -> None:
    """The whole call has a time, whatever the plugin does in it."""
    sink.answer(hang=30)
    message = {"url": f"json://127.0.0.1:{sink.port}/", "title": "t", "body": "b", "kind": "info"}
    began = time.monotonic()

    verdict = hand_over(json.dumps(message).encode(), {}, seconds=3)

    assert verdict == Retry(Reason.DEADLINE, "Apprise came to no end in time", ambiguous=True)
    assert time.monotonic() - began < 10


def test_a_redirect_is_not_followed(sink: Sink, outbound: Outbound) -> None:
    """A message is for the place that was configured."""
    sink.answer(307, headers={"Location": f"{sink.url}/elsewhere"})

    one(sink).notify(notification(), call(outbound))

    assert [seen.path for seen in sink.seen] == [f"/{CANARY}"]


@pytest.mark.filterwarnings("ignore:'imghdr'")  # newer Pythons no longer have it
def test_a_url_cannot_loosen_the_guard() -> None:
    """Neither a URL's own time-outs nor its wish not to verify TLS hold."""
    plugin = _plugin("jsons://x.example/?cto=900&rto=900&verify=no&redirect=yes")

    assert plugin.request_timeout == (3.0, 10.0)
    assert (plugin.verify_certificate, plugin.redirects) == (True, False)


def test_the_process_knows_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a plugin does, only what the configuration names is within its reach."""
    monkeypatch.setenv("SYNAP_WEBHOOK_SECRET", CANARY)

    made = target("apprise", "{url: 'json://x', environment: {https_proxy: 'http://p.example'}}")

    assert isinstance(made, Apprise)
    assert made.environment == {"PATH": os.defpath, "https_proxy": "http://p.example"}


@pytest.mark.parametrize(
    ("severity", "over", "expected"),
    [("high", False, "failure"), ("medium", False, "warning"), ("high", True, "success")],
)
def test_how_bad_it_is(severity: str, expected: str, *, over: bool) -> None:
    """Our severities are said in Apprise's words."""
    alert = make_alert(severity=severity, ends_at=NOW if over else None)

    assert kind(notification(alert, why=Why.ALL_RESOLVED)) == expected


def test_a_scheme_that_nobody_knows(outbound: Outbound) -> None:
    """It is refused for good; a file that is not there may come."""
    made = target("apprise", "url: 'nobody://knows'")

    assert made.notify(notification(), call(outbound)) == Permanent(
        Reason.CLIENT_ERROR, "no URL that Apprise knows"
    )
    assert isinstance(Apprise(url=gone()).notify(notification(), call(outbound)), Retry)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{}", "one of url or url_file", id="none"),
        pytest.param("{url: x}", "scheme://", id="url"),
    ],
)
def test_what_a_configuration_may_not_say(text: str, message: str) -> None:
    """Mistakes are found when the configuration is read."""
    with pytest.raises(DocumentError, match=message):
        target("apprise", text)


def test_what_is_not_installed_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A target whose package is missing says so, with the command that mends it."""
    findings = Findings("hooks.yml", tmp_path_factory.getbasetemp())

    require(Section(None, "sns_config", findings), "no_such_package", "aws")

    (problem,) = findings.problems
    assert str(problem) == (
        "hooks.yml:1: sns_config needs the package no_such_package, which is not installed: "
        "pip install 'synap-hooks[aws]'"
    )
