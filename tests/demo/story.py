"""What is delivered in the demo, and what must come of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from receiver.signature import SigningKey, sign
from tests.build import iso, make_event
from tests.demo.stage import PAGERDUTY_PATH, TEAM_PATH
from tests.sandbox import Sandbox
from tests.sink import Seen

DAY = 86_400.0


class Delivery(NamedTuple):
    """One delivery of the story.

    `told` says whether a notification must come of it, `pages` whether it must page.
    """

    title: str
    event_id: str
    event_type: str
    body: bytes
    signature: str
    came_in: str
    status: int
    told: bool = False
    pages: bool = False


class Page(NamedTuple):
    """What one target was told: the kind of target, its headline and the lines beneath it."""

    target: str
    action: str
    headline: str
    lines: Sequence[str]
    event_types: frozenset[str]


def changed(synap: Sandbox) -> dict[str, Any]:
    """Bring a change of the context budget from 4096 to 8192 to its application; return its event.

    The version before it is bounded in time, so that the guard has one thing to say.
    """
    instance = synap.instance
    owner = {"client_id": instance.client_id, "triggered_by_user_id": "dana"}
    first, _, _ = instance.init(owner)
    first.config["storage"]["retention"]["default_ttl_days"] = 365
    reviewed = {"decision": "approve", "reviewed_by": "robin"}
    instance.review(first.config_id, reviewed)
    instance.apply(first.config_id, {"applied_by": "dana"})
    budget = {"retrieval": {"context_budget": 8192}}
    update = {"reason": "Increase context budget", "config": budget}
    second, _, _ = instance.update(owner | update)
    instance.review(second.config_id, reviewed)
    instance.apply(second.config_id, {"applied_by": "dana"})
    return synap.events[-1]


def deliveries(secret: str, synap: Sandbox, *, run: str) -> list[Delivery]:
    """Return the story; `run` makes its event ids new."""
    key = SigningKey("demo", secret.encode())

    def one(title: str, event_type: str, came_in: str, **more: Any) -> Delivery:
        name = event_type.replace(".", "_")
        event_id = f"evt_{run}_{name}"
        body = orjson.dumps(make_event(event_type, event_id=event_id, **more.pop("event", {})))
        told = {"status": 202, **more}
        return Delivery(title, event_id, event_type, body, sign(body, key), came_in, **told)

    applied = changed(synap)
    expires = iso(time.time() + 2 * DAY + 600)
    failed = one(
        "A document could not be ingested",
        "ingestion.failed",
        "doc_7f3 (pdf) failed at extraction: INVALID_INPUT, not retryable",
        event={"data": {"document_id": "doc_7f3", "error_code": "INVALID_INPUT"}},
        told=True,
        pages=True,
    )
    forged = failed.body.replace(b"doc_7f3", b"doc_bad")
    return [
        failed,
        one(
            "A credential runs out",
            "credential.expiring",
            "API key 'production' ends in two days",
            event={"data": {"expires_at": expires}},
            told=True,
            pages=True,
        ),
        one(
            "A configuration was applied",
            "config.applied",
            f"{applied['data']['config_id']} took the place of "
            f"{applied['data']['previous_config_id']}, by dana",
            event={"instance_id": applied["instance_id"], "data": applied["data"]},
            told=True,
            pages=True,
        ),
        one(
            "A retention run ended",
            "retention.cleanup",
            "120 of 4000 memories deleted",
            told=True,
        ),
        one(
            "An event type that nobody knows yet",
            "memory.compacted",
            "3 segments were compacted",
            event={"data": {"segments": 3}},
        ),
        failed._replace(
            title="The first event, delivered again",
            came_in="the same id and the same body",
            status=200,
            told=False,
            pages=False,
        ),
        failed._replace(
            title="A forged event",
            event_id="",
            body=forged,
            came_in="one word of the body changed, the old signature kept",
            status=401,
            told=False,
            pages=False,
        ),
    ]


def page(seen: Seen) -> Page:
    """Read what a target was told, as it would show it."""
    said = seen.json
    if seen.path == PAGERDUTY_PATH:
        return _incident(said)
    assert seen.path == TEAM_PATH, f"nothing is configured for {seen.path}"
    alerts = said["alerts"]
    labels = said["commonLabels"]
    about = alerts[0]["annotations"]
    return Page(
        target="team webhook",
        action=said["status"],
        headline=about.get("summary", labels.get("alertname", "")),
        lines=[f"{labels.get('alertname', '')} · {labels.get('severity', '')}"],
        event_types=frozenset(alert["labels"].get("event_type", "") for alert in alerts),
    )


def _incident(said: dict[str, Any]) -> Page:
    found = said.get("payload", {})
    details = found.get("custom_details", {})
    lines = [f"{found.get('severity', '')} · source {found.get('source', '')}"]
    lines += [str(details[name]) for name in ("description",) if details.get(name)]
    lines += [f"{link['text']}: {link['href']}" for link in said.get("links", [])]
    return Page(
        target="PagerDuty",
        action=said["event_action"],
        headline=found.get("summary", said["dedup_key"]),
        lines=lines,
        event_types=frozenset({found.get("class", "")}),
    )


def missing(
    story: Sequence[Delivery], events: dict[str, dict[str, Any]], pages: Sequence[Page]
) -> list[str]:
    """Return what has not arrived yet, in words; empty when everything has."""
    found = []
    for delivery in story:
        event = events.get(delivery.event_id)
        if delivery.status == 202 and (event is None or event["state"] != "done"):
            state = event["state"] if event else "not in the ledger"
            found.append(f"{delivery.event_type}: its event is {state}")
        for wanted, target in ((delivery.told, "team webhook"), (delivery.pages, "PagerDuty")):
            if wanted and not told(delivery, pages, target):
                found.append(f"{delivery.event_type}: nothing came to {target}")
    return found


def told(delivery: Delivery, pages: Sequence[Page], target: str = "") -> list[Page]:
    """Return what was told of a delivery's type, to one target or to any."""
    return [
        page
        for page in pages
        if delivery.event_type in page.event_types and page.target.startswith(target)
    ]


def own(url: str, secret: str) -> str:
    """Return shell lines that sign and send an event of the reader's own."""
    return (
        'body=\'{"event_id":"evt_mine_\'$(date +%s)\'","event_type":"ingestion.failed",'
        '"timestamp":"\'$(date -u +%Y-%m-%dT%H:%M:%SZ)\'",'
        '"data":{"document_id":"doc_mine","stage":"embedding","error_code":"401"}}\'; '
        f"curl -sS -w '\\n' {url} -H 'Content-Type: application/json' "
        '-H "X-Synap-Signature: sha256=$(printf %s "$body" | openssl dgst -sha256 -r '
        f'-hmac {secret} | cut -d" " -f1)" --data-binary "$body"'
    )
