"""Target `slack`: an incoming webhook, or a bot's token.

A webhook can only post: each notification is a message, and a repeated attempt may show twice. With
a token a group is one message that is kept up to date, and what changed goes into its thread.
Nothing that an event says can mention anyone or become a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import orjson

from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.slack_blocks import message, reply
from workers.alerting.notifiers.steps import Memory, Step, exchange, in_order, short
from workers.outbound import (
    Answer,
    Permanent,
    Reason,
    Retry,
    Sent,
    Verdict,
    callable_url,
    classify,
    retry_after,
)
from workers.section import Secret, Section

API: Final = "https://slack.com/api"

TS: Final = "ts"
CHANNEL: Final = "channel"
POSTED: Final = "posted"
"""The memory's field for the delivery that posted the message, which needs no reply."""
FIRED: Final = "fired"
"""The memory's field for the alerts of which the thread was told that they fire."""

_OK: Final = b"ok"
_WORD: Final = re.compile(rb"[a-z_]{1,60}")
_RATE: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_PASSING: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
_AUTH: Final = frozenset(
    {
        "access_denied",
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_authed",
        "no_permission",
        "token_expired",
        "token_revoked",
    }
)
_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_TOO_LONG: Final = frozenset({"msg_too_long", "msg_blocks_too_long", "too_many_attachments"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Posts to an incoming webhook, or as a bot to a channel if there is a token."""

    api_url: Secret | None = None
    app_token: Secret | None = None
    app_url: str = API
    channel: str = ""
    update_message: bool = True
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False

    @property
    def stateful(self) -> bool:
        """Whether its message stays red until it is told the end."""
        return self.app_token is not None and self.update_message

    @property
    def acknowledges(self) -> bool:
        """Whether it can show that somebody took the trouble on."""
        return self.stateful

    @property
    def account(self) -> str:
        """What shares a rate: the channel."""
        secret = self.app_token or self.api_url or Secret()
        return f"{secret.file or short(secret.reveal())} {self.channel}"

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Post the message; or bring the group's message up to date and say what is new."""
        if self.app_token is None:
            return self._post_webhook(notification, call)
        if not self.update_message:
            step = Step("head", partial(self._head, notification, call._replace(memory={})))
            return in_order([step], call)
        steps = [
            Step("head", partial(self._head, notification, call)),
            Step("reply", partial(self._reply, notification, call)),
        ]
        verdict = in_order(steps, call)
        if isinstance(verdict, Sent) and notification.status == "resolved":
            return Sent(verdict.note, {})
        return verdict

    def _post_webhook(self, notification: Notification, call: Call) -> Verdict:
        url = self.api_url or Secret()
        body = orjson.dumps(message(notification))
        return exchange(
            call,
            lambda: call.outbound.post(url.reveal(), body),
            lambda answer: _read_webhook(answer, call.now),
        )

    def _head(self, notification: Notification, call: Call, memory: Memory) -> Verdict:
        """Post the group's message, or update it where it stands."""
        told = message(notification)
        if memory.get(TS) and self.update_message:
            where = {"channel": memory[CHANNEL], "ts": memory[TS]}
            verdict = self._ask("chat.update", {**told, **where}, call)
            gone = isinstance(verdict, Permanent) and verdict.detail in _GONE
            if not gone:
                return verdict
        verdict = self._ask("chat.postMessage", {**told, "channel": self.channel}, call)
        if not isinstance(verdict, Sent):
            return verdict
        fired = " ".join(short(alert.fingerprint) for alert in notification.firing)
        return Sent(verdict.note, {**(verdict.memory or {}), POSTED: call.delivery, FIRED: fired})

    def _reply(self, notification: Notification, call: Call, memory: Memory) -> Verdict:
        """Say in the thread what changed, if the message was there before."""
        if TS not in memory:
            return Permanent(Reason.OTHER, "there is no message to reply to")
        firing = {short(alert.fingerprint): alert for alert in notification.firing}
        before = memory.get(FIRED, "").split()
        fired = {FIRED: " ".join(firing)}
        if memory.get(POSTED) == call.delivery:
            return Sent(memory=fired)
        news = [alert for name, alert in firing.items() if name not in before]
        over = [one for one in notification.resolved if short(one.fingerprint) in before]
        said = reply(notification, news, over)
        if not said:
            return Sent(memory=fired)
        where = {"channel": memory[CHANNEL], "thread_ts": memory[TS]}
        verdict = self._ask("chat.postMessage", {**said, **where}, call)
        return Sent(memory=fired) if isinstance(verdict, Sent) else verdict

    def _ask(self, method: str, body: Mapping[str, Any], call: Call) -> Verdict:
        def send() -> Answer:
            assert self.app_token is not None
            headers = {
                "authorization": f"Bearer {self.app_token.reveal()}",
                "content-type": "application/json; charset=utf-8",
            }
            return call.outbound.post(f"{self.app_url}/{method}", orjson.dumps(body), headers)

        return exchange(call, send, lambda answer: _read_api(answer, call.now))


def _read_webhook(answer: Answer, now: float) -> Verdict:
    """Read a webhook's answer: a 200 says `ok`, a refusal says why in one word."""
    said = answer.body.strip()
    if answer.ok and said != _OK:
        return Retry(Reason.OTHER, "unreadable answer", ambiguous=True)
    verdict = classify(answer, now)
    if isinstance(verdict, Permanent) and _WORD.fullmatch(said):
        return Permanent(verdict.reason, f"{verdict.detail} {said.decode()}")
    return verdict


def _read_api(answer: Answer, now: float) -> Verdict:
    """Read the API's answer, which is a 200 for most refusals as well."""
    if not answer.ok:
        return classify(answer, now)
    try:
        found = orjson.loads(answer.body)
        if found["ok"] is True:
            where = {TS: str(found.get("ts", "")), CHANNEL: str(found.get("channel", ""))}
            return Sent(where[TS], where)
        error = str(found["error"])
    except (ValueError, KeyError, TypeError):
        return Retry(Reason.OTHER, "unreadable answer", ambiguous=True)
    verdict = _refused(error)
    if isinstance(verdict, Retry):
        return verdict._replace(after=retry_after(answer.headers, now))
    return verdict


def _refused(error: str) -> Retry | Permanent:
    """Say what Slack's word for a refusal means."""
    if error in _RATE:
        return Retry(Reason.RATE_LIMITED, error)
    if error in _PASSING:
        return Retry(Reason.SERVER_ERROR, error)
    if error in _TOO_LONG:
        return Permanent(Reason.TOO_LARGE, error)
    named = error if _WORD.fullmatch(error.encode()) else "refused"
    return Permanent(Reason.AUTH_ERROR if error in _AUTH else Reason.CLIENT_ERROR, named)


def read(section: Section, ambient: Ambient) -> Slack:
    """Read one entry of `slack_configs`."""
    token, own = section.secret("app_token"), section.secret("api_url")
    if token is not None and own is not None:
        section.problem(
            "at most one of app_token/app_token_file & api_url/api_url_file must be configured"
        )
    if token is not None:
        return _read_bot(section, token)
    if section.flag("update_message", default=False):
        section.problem(
            "update_message can only be used with bot tokens. "
            "api_url must be set to https://slack.com/api/chat.postMessage",
            "update_message",
        )
    url = own or ambient.slack_api_url
    if url is None and ambient.slack_url is not None:
        url = Secret(ambient.slack_url)
    if url is None:
        section.problem("no Slack API URL set either inline or in a file")
    elif url.value is not None and not callable_url(url.reveal()):
        section.problem("api_url must be an http or https URL", "api_url")
    section.text("channel")  # a webhook has its own; the field is common all the same
    return Slack(
        api_url=url or Secret(), send_resolved=section.flag("send_resolved", default=False)
    )


def _read_bot(section: Section, token: Secret) -> Slack:
    channel = section.text("channel")
    if not channel:
        section.problem("missing channel: a bot has to be told where to post")
    url = section.text("app_url", API).rstrip("/").removesuffix("/chat.postMessage")
    if not callable_url(url):
        section.problem("app_url must be an http or https URL", "app_url")
    return Slack(
        app_token=token,
        app_url=url,
        channel=channel,
        update_message=section.flag("update_message", default=True),
        send_resolved=section.flag("send_resolved", default=True),
    )
