"""Target `opsgenie`: alerts in Opsgenie or, with the same calls, in Jira Service Management.

A 202 only says that the request was queued; the id by which it can be asked about is kept. What is
open under which alias and priority is remembered, and a group that gets worse is a new alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import quote

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification, cut
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.incidents import Act, Ladder, after, opened, plan
from workers.alerting.notifiers.steps import Memory, Step, exchange, in_order, short
from workers.alerting.wording import OVER, text
from workers.outbound import Answer, Reason, Retry, Sent, Verdict, callable_url, classify
from workers.section import Secret, Section

BASES: Final = {
    "opsgenie": "https://api.opsgenie.com",
    "opsgenie-eu": "https://api.eu.opsgenie.com",
    "jsm": "https://api.atlassian.com/jsm/ops/integration",
}
MESSAGE_CHARS: Final = 130
ALIAS_CHARS: Final = 512
DESCRIPTION_CHARS: Final = 15_000
ENTITY_CHARS: Final = 512
SOURCE_CHARS: Final = 100
NOTE_CHARS: Final = 25_000
TAG_CHARS: Final = 50
MAX_TAGS: Final = 20
MAX_RESPONDERS: Final = 50
DETAIL_CHARS: Final = 1000
SOURCE: Final = "synap-hooks"

PRIORITIES: Final[Mapping[str, str]] = {
    "critical": "P1",
    "high": "P2",
    "error": "P2",
    "medium": "P3",
    "warning": "P3",
    "low": "P4",
    "info": "P5",
}
"""Our severities as priorities; what is not listed is P2."""

_ORDER: Final = ("P1", "P2", "P3", "P4", "P5")
_RESPONDERS: Final = ("team", "user", "escalation", "schedule")
_NAMED_BY: Final = ("id", "name", "username")
_PATHS: Final = {"resolve": "close", "acknowledge": "acknowledge"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opsgenie:
    """Creates, acknowledges and closes alerts with one integration's key."""

    api_key: Secret
    url: str = field(default=BASES["opsgenie"], repr=False)
    priorities: Mapping[str, str] = field(default_factory=lambda: PRIORITIES)
    responders: tuple[Mapping[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    by_alert: bool = False
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    acknowledges: ClassVar[bool] = True

    @property
    def account(self) -> str:
        """What shares a rate: the integration's key, as a digest or by its file."""
        return str(self.api_key.file or short(self.api_key.reveal()))

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Tell all that changed, one call for each alert."""
        ladder = Ladder(steps=_ORDER, said=self._said, by_alert=self.by_alert)
        acts = plan(notification, opened(call.memory), ladder, repeated=call.repeated)
        steps = [Step(f"{act.action}:{act.key}", partial(self._do, act, call)) for act in acts]
        return in_order(steps, call)

    def body(self, act: Act) -> dict[str, Any]:
        """Return the body of one call."""
        if act.action != "trigger":
            note = OVER if act.action == "resolve" else "Acknowledged."
            return {"source": SOURCE, "note": cut(note, NOTE_CHARS)}
        labels = act.part.common_labels
        tags = [*self.tags, *(f"{name}:{labels[name]}" for name in sorted(labels))]
        made = {
            "message": cut(act.part.title, MESSAGE_CHARS),
            "alias": cut(act.key, ALIAS_CHARS),
            "description": cut(text(act.part), DESCRIPTION_CHARS),
            "responders": list(self.responders),
            "tags": [cut(tag, TAG_CHARS) for tag in tags][:MAX_TAGS],
            "details": {
                name: cut(said, DETAIL_CHARS)
                for name, said in {**labels, "group": act.part.group_key}.items()
            },
            "entity": cut(labels.get("instance_id", ""), ENTITY_CHARS),
            "source": cut(SOURCE, SOURCE_CHARS),
            "priority": act.incident.severity,
        }
        return {name: said for name, said in made.items() if said}

    def _said(self, alert: Alert) -> str:
        """Return an alert's severity as a priority."""
        return self.priorities.get(alert.labels.get("severity", ""), "P2")

    def _do(self, act: Act, call: Call, memory: Memory) -> Verdict:
        url = f"{self.url}/v2/alerts"
        if act.action in _PATHS:
            url += f"/{quote(act.key, safe='')}/{_PATHS[act.action]}?identifierType=alias"

        def send() -> Answer:
            headers = {"authorization": f"GenieKey {self.api_key.reveal()}"}
            return call.outbound.post(url, orjson.dumps(self.body(act)), headers)

        verdict = exchange(call, send, lambda answer: _read(answer, call.now))
        if not isinstance(verdict, Sent):
            return verdict
        return Sent(verdict.note, after(act, memory, ""))


def _read(answer: Answer, now: float) -> Verdict:
    """Read the answer: a success names the request that was queued."""
    verdict = classify(answer, now)
    if not isinstance(verdict, Sent):
        return verdict
    try:
        return Sent(str(orjson.loads(answer.body)["requestId"]))
    except (ValueError, KeyError, TypeError, IndexError):
        return Retry(Reason.OTHER, "unreadable answer", ambiguous=True)


def _responder(section: Section) -> dict[str, str]:
    """Read one of `responders`: a type and exactly one way to name it."""
    kind = section.text("type")
    if kind not in _RESPONDERS:
        section.problem(f'field "type" must be one of {", ".join(_RESPONDERS)}', "type")
    named = {name: section.text(name) for name in _NAMED_BY if section.text(name)}
    if len(named) != 1:
        section.problem("a responder has exactly one of id, name or username")
    section.close()
    return {"type": kind, **named}


def read(section: Section, _: Ambient) -> Opsgenie:
    """Read one entry of `opsgenie_configs`."""
    key = section.secret("api_key")
    if key is None:
        section.problem("one of api_key or api_key_file must be configured")
    product = section.choice("product", "opsgenie", tuple(BASES))
    url = (section.text("api_url") or BASES[product]).rstrip("/")
    if not callable_url(url):
        section.problem("api_url must be an http or https URL", "api_url")
    priorities = {**PRIORITIES, **section.table("priorities")}
    for name in sorted(set(priorities.values()) - set(_ORDER)):
        section.problem(f'"{name}" is no priority: {", ".join(_ORDER)}', "priorities")
    responders = tuple(_responder(inner) for inner in section.sections("responders", "responder"))
    if len(responders) > MAX_RESPONDERS:
        section.problem(f"at most {MAX_RESPONDERS} responders", "responders")
    return Opsgenie(
        api_key=key or Secret(),
        url=url,
        priorities=priorities,
        responders=responders,
        tags=tuple(tag.value for tag in section.texts("tags") or ()),
        by_alert=section.choice("dedup_by", "group", ("group", "alert")) == "alert",
        send_resolved=section.flag("send_resolved", default=True),
    )
