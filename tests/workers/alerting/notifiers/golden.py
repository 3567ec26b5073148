"""What people see, kept word for word: how each target tells of one group.

`python -m tests.workers.alerting.notifiers.golden` writes `golden/` anew, to be looked at: a group
that fires, and the same group when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from tests.build import INSTANCE, NOW
from tests.workers.alerting.notifiers.conformance import notification, target
from workers.alert import Alert
from workers.alerting.notification import Notification, Why
from workers.alerting.notifiers.incidents import Act, Incident
from workers.alerting.notifiers.letter import compose
from workers.alerting.notifiers.msteams import SIZES
from workers.alerting.notifiers.msteams import message as card
from workers.alerting.notifiers.slack_blocks import message
from workers.alerting.notifiers.webhook import payload
from workers.alerting.wording import headline, text

HERE: Final = Path(__file__).parent / "golden"
KEY: Final = "3f1c" * 16

_WHY = "Trying again will not help: this content stays missing from memory until it is mended."
_TODO = "Read the error, mend the document or the request, and ingest it again."


def failed(stage: str, *, ends_at: float | None = None) -> Alert:
    """Return an alert as the handler of `ingestion.failed` makes it."""
    said = f"Document doc_1 (pdf) was not ingested on attempt 3. Synap says: unreadable {stage}."
    return Alert(
        labels={
            "alertname": "SynapIngestionFailed",
            "severity": "medium",
            "event_type": "ingestion.failed",
            "instance_id": INSTANCE,
            "endpoint": "default",
            "cause": "permanent",
            "stage": stage,
            "error_code": "PARSE_ERROR",
        },
        annotations={
            "summary": f"Ingestion fails on {INSTANCE}: permanent error (PARSE_ERROR)",
            "description": f"{said} Why it matters: {_WHY} What to do: {_TODO}",
            "runbook": "README.md#synapingestionfailed",
            "dashboard_url": "https://grafana.example/d/synap",
            "inspect": "synap-hooks events show 5f0c",
            "event_id": "evt_1",
        },
        starts_at=NOW - 720,
        updated_at=NOW - 60,
        ends_at=ends_at,
    )


def told(*alerts: Alert, why: Why) -> Notification:
    """Return the message about these alerts."""
    return notification(
        *alerts,
        why=why,
        dedup_key=KEY,
        group_key='{}:{alertname="SynapIngestionFailed"}',
        group_labels={"alertname": "SynapIngestionFailed"},
        receiver="on-call",
    )


FIRING: Final = told(failed("extraction"), failed("chunking"), why=Why.FIRST)
RESOLVED: Final = told(
    failed("extraction", ends_at=NOW - 60),
    failed("chunking", ends_at=NOW),
    why=Why.ALL_RESOLVED,
)


def _made(kind: str, more: str) -> Any:
    return target(kind, f"{{{more}}}")


def _act(notification: Notification, severity: str) -> Act:
    action = "trigger" if notification.firing else "resolve"
    return Act(action, KEY, Incident(KEY, severity), notification)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


RENDERED: Final[Mapping[str, Callable[[Notification], str]]] = {
    "text.txt": lambda one: f"{headline(one)}\n\n{text(one)}\n",
    "alertmanager.json": lambda one: _json(
        [_made("alertmanager", "urls: ['http://h']").alert(alert, one, NOW) for alert in one.alerts]
    ),
    "cloudwatch.json": lambda one: _json(_made("cloudwatch", "region: r").data(one)),
    "datadog.json": lambda one: _json(_made("datadog", "api_key: k").alert(one, NOW)),
    "email.eml": lambda one: (
        compose(one, "hooks@h.example", ("on-call@h.example",), {})
        .text.decode()
        .replace("\r\n", "\n")
    ),
    "eventbridge.json": lambda one: _json(
        [
            {**entry.request, "Detail": orjson.loads(entry.request["Detail"])}
            for entry in _made("eventbridge", "region: r").entries(one)
        ]
    ),
    "msteams.json": lambda one: _json(card(one, SIZES[0])),
    "opsgenie.json": lambda one: _json(_made("opsgenie", "api_key: k").body(_act(one, "P3"))),
    "pagerduty.json": lambda one: _json(
        _made("pagerduty", "routing_key: k").event(_act(one, "warning"), "k")
    ),
    "slack.json": lambda one: _json(message(one)),
    "sns.json": lambda one: _json(
        _made("sns", "topic_arn: 'arn:aws:sns:eu-west-1:1:t.fifo'").request(one)
    ),
    "webhook.json": lambda one: _json(payload(one)),
}
"""How each target says it, by file."""


def rendered() -> dict[str, str]:
    """Return every golden text by its file's name."""
    acknowledged = replace(FIRING, why=Why.ACKNOWLEDGED)
    found = {f"acknowledged-{name}": RENDERED[name](acknowledged) for name in ("slack.json",)}
    for status, one in (("firing", FIRING), ("resolved", RESOLVED)):
        found |= {f"{status}-{name}": render(one) for name, render in RENDERED.items()}
    return found


def write() -> None:
    """Write every golden text."""
    HERE.mkdir(exist_ok=True)
    for name, said in rendered().items():
        (HERE / name).write_text(said)


if __name__ == "__main__":
    write()
