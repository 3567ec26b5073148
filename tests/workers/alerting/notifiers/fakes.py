"""Targets as their vendors describe them: they enforce limits and keep the state that is theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from tests.sink import Answer, Seen, Sink

Table = Mapping[str, Any]


def refusal(problems: Iterator[str]) -> str | None:
    """Return the first problem, if there is any."""
    return next(problems, None)


class Vendor(Sink):
    """A sink that answers by what it is told; `refused` says why it would not take something."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    def take(self, request: Seen) -> Answer:
        """Record a request; what is queued or set is answered first, as by any sink."""
        answer = super().take(request)
        if answer != Answer():
            return answer
        problem, answer = self.react(request)
        if problem is not None:
            self.refused.append(problem)
        return answer

    def react(self, request: Seen) -> tuple[str | None, Answer]:
        """Return why a request is refused, if it is, and the answer."""
        raise NotImplementedError


class FakePagerduty(Vendor):
    """Events API v2: `open` holds the incidents, `dropped` the resolves that found none."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, str] = {}
        self.log: list[str] = []
        self.dropped: list[str] = []

    def react(self, request: Seen) -> tuple[str | None, Answer]:
        """Take an event as PagerDuty does: 202, whatever becomes of it."""
        event = orjson.loads(request.body)
        problem = refusal(self._problems(event, request.body))
        if problem:
            body = {"status": "invalid event", "message": problem, "errors": [problem]}
            return problem, Answer(400, orjson.dumps(body))
        self._apply(event["event_action"], event["dedup_key"], event.get("payload", {}))
        body = {"status": "success", "message": "ok", "dedup_key": event["dedup_key"]}
        return None, Answer(202, orjson.dumps(body))

    def _apply(self, action: str, key: str, payload: Table) -> None:
        self.log.append(f"{action} {key}")
        if action == "trigger":
            self.open.setdefault(key, payload["severity"])
        elif action == "resolve" and self.open.pop(key, None) is None:
            self.dropped.append(key)

    @staticmethod
    def _problems(event: Table, body: bytes) -> Iterator[str]:
        payload = event.get("payload", {})
        if len(body) > 512_000:
            yield "size"
        if event["event_action"] not in ("trigger", "acknowledge", "resolve"):
            yield "event_action"
        if not 0 < len(event["dedup_key"]) <= 255:
            yield "dedup_key"
        if event["event_action"] != "trigger":
            return
        if not 0 < len(payload.get("summary", "")) <= 1024:
            yield "summary"
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            yield "severity"
        if not payload.get("source"):
            yield "source"
        if not all(image["src"].startswith("https://") for image in event.get("images", [])):
            yield "images"


class FakeSlack(Vendor):
    """The Web API: `messages` by ts, each with its channel's id; `threads` by the head's ts."""

    CHANNEL = "C0123"

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, Table] = {}
        self.threads: dict[str, list[str]] = {}

    def react(self, request: Seen) -> tuple[str | None, Answer]:
        """Answer as the Web API does: a 200 that says in its body what became of it."""
        body = orjson.loads(request.body)
        error = refusal(self._problems(request, body))
        if error:
            return error, Answer(200, orjson.dumps({"ok": False, "error": error}))
        ts = body.get("ts") or f"{1_800_000_000 + len(self.seen)}.000100"
        if "thread_ts" in body:
            self.threads.setdefault(body["thread_ts"], []).append(body["text"])
        else:
            self.messages[ts] = body
        return None, Answer(
            200, orjson.dumps({"ok": True, "ts": ts, "channel": self.CHANNEL, "message": {}})
        )

    def _problems(self, request: Seen, body: Table) -> Iterator[str]:
        if not request.headers.get("authorization", "").startswith("Bearer xoxb-"):
            yield "invalid_auth"
        if request.path.endswith("chat.update"):
            if body["channel"] != self.CHANNEL:
                yield "channel_not_found"
            if body["ts"] not in self.messages:
                yield "message_not_found"
        yield from slack_problems(body)


def slack_problems(body: Table) -> Iterator[str]:
    """Yield what Slack would not take of a message."""
    blocks = [block for each in body.get("attachments", []) for block in each.get("blocks", [])]
    if len(body["text"]) > 40_000:
        yield "msg_too_long"
    if len(blocks) > 50 or len(str(blocks)) > 3 * 13_200:
        yield "msg_blocks_too_long"
    for block in blocks:
        text = block.get("text", {}).get("text", "")
        elements = block.get("elements", [])
        buttons = [element for element in elements if element["type"] == "button"]
        if block["type"] == "section" and not 0 < len(text) <= 3000:
            yield "invalid_blocks"
        if len(buttons) > 25 or any(len(one["text"]["text"]) > 75 for one in buttons):
            yield "invalid_blocks"
        if any(len(one["url"]) > 3000 for one in buttons):
            yield "invalid_blocks"
    if re.search(r"<[!@#]", str(body)):
        yield "mention"


class FakeOpsgenie(Vendor):
    """The alert API: `open` holds the aliases with their priorities."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, str] = {}
        self.log: list[str] = []
        self.dropped: list[str] = []

    def react(self, request: Seen) -> tuple[str | None, Answer]:
        """Queue a request: 202 and its id."""
        body = orjson.loads(request.body)
        if not request.headers.get("authorization", "").startswith("GenieKey "):
            return "auth", Answer(403, b'{"message":"Forbidden"}')
        path = re.fullmatch(
            r".*/v2/alerts(?:/([^/?]+)/(close|acknowledge)\?identifierType=alias)?", request.path
        )
        assert path, request.path
        problem = refusal(self._problems(body)) if path[1] is None else None
        if problem:
            return problem, Answer(422, orjson.dumps({"message": problem}))
        self._apply(path[2] or "create", path[1] or body["alias"], body)
        return None, Answer(202, orjson.dumps({"result": "queued", "requestId": "r1"}))

    def _apply(self, action: str, alias: str, body: Table) -> None:
        self.log.append(f"{action} {alias}")
        if action == "create":
            self.open.setdefault(alias, body["priority"])
        elif action == "close" and self.open.pop(alias, None) is None:
            self.dropped.append(alias)

    @staticmethod
    def _problems(body: Table) -> Iterator[str]:
        limits = {"message": 130, "alias": 512, "description": 15_000, "entity": 512, "source": 100}
        for name, limit in limits.items():
            if len(body.get(name, "")) > limit:
                yield name
        if len(body["tags"]) > 20 or any(len(tag) > 50 for tag in body["tags"]):
            yield "tags"
        if body["priority"] not in ("P1", "P2", "P3", "P4", "P5"):
            yield "priority"
        if not all(isinstance(said, str) for said in body["details"].values()):
            yield "details"


class Limited(Vendor):
    """A target without state: it only checks what it is given by a function of its own."""

    def __init__(self, problems: Callable[[Seen], Iterator[str]], taken: Answer) -> None:
        super().__init__()
        self._problems = problems
        self._taken = taken

    def react(self, request: Seen) -> tuple[str | None, Answer]:
        """Take a request or refuse it."""
        problem = refusal(self._problems(request))
        return problem, Answer(400, orjson.dumps({"errors": [problem]})) if problem else self._taken


def datadog_problems(request: Seen) -> Iterator[str]:
    """Yield what Datadog's intake would not take."""
    data = orjson.loads(request.body)["data"]
    event = data["attributes"]
    about = event["attributes"]
    if not request.headers.get("dd-api-key") or data["type"] != "event":
        yield "auth"
    for name, limit in {"title": 500, "message": 4000, "aggregation_key": 100, "host": 255}.items():
        if len(event.get(name, "")) > limit:
            yield name
    if len(event["tags"]) > 100 or any(len(tag) > 200 for tag in event["tags"]):
        yield "tags"
    if event["category"] == "alert":
        if about["status"] not in ("ok", "warn", "error") or about["priority"] not in "12345":
            yield "status"
        if len(about.get("links", [])) > 20 or len(about.get("custom", {})) > 100:
            yield "links"
    elif about["changed_resource"]["type"] not in ("feature_flag", "configuration"):
        yield "changed_resource"


def teams_problems(request: Seen) -> Iterator[str]:
    """Yield what a Workflows card may not be."""
    (attachment,) = orjson.loads(request.body)["attachments"]
    card = attachment["content"]
    if len(request.body) > 21_000:
        yield "size"
    if (card["type"], card["version"]) != ("AdaptiveCard", "1.4"):
        yield "card"
    if not all(part["type"] in ("TextBlock", "FactSet") for part in card["body"]):
        yield "body"
