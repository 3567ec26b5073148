"""Target `alertmanager`: API version 2, to every member of the cluster.

Alertmanager ends an alert by itself when it is not told of it again, so while a group fires it has
to be told every quarter of `resolve_timeout` (`keep_alive`). Members do not hand alerts to each
other; a message counts as told when one of them took it, and the others hear it the next time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import orjson

from workers.alert import Alert
from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.credentials import Credentials, read_credentials
from workers.alerting.notifiers.steps import Progress, exchange
from workers.alerting.wording import iso
from workers.outbound import Permanent, Retry, Sent, Verdict, callable_url
from workers.section import Section

MAX_BATCH: Final = 64
RESOLVE_TIMEOUT: Final = 300.0
LEAST_TIMEOUT: Final = 4.0
PATH: Final = "/api/v2/alerts"

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_BAD_REQUEST: Final = "status 400"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanager:
    """Hands alerts to a cluster; `resolve_timeout` is in seconds."""

    urls: tuple[str, ...] = field(repr=False)
    credentials: Credentials = field(default_factory=Credentials)
    resolve_timeout: float = RESOLVE_TIMEOUT
    send_resolved: bool = True

    durable: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    acknowledges: ClassVar[bool] = False
    idempotent: ClassVar[bool] = True

    @property
    def account(self) -> str:
        """What shares a rate: the cluster."""
        return " ".join(self.urls)

    @property
    def keep_alive(self) -> float:
        """Seconds after which it has to be told again of what still fires."""
        return self.resolve_timeout / 4

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Post every batch to every member."""
        alerts = [self.alert(one, notification, call.now) for one in notification.alerts]
        batches = [alerts[at : at + MAX_BATCH] for at in range(0, len(alerts), MAX_BATCH)]
        progress = Progress(call)
        verdicts = [self._tell(url, batches, call, progress) for url in self.urls]
        taken = sum(isinstance(verdict, Sent) for verdict in verdicts)
        if taken:
            return progress.end(f"{taken} of {len(self.urls)} members")
        waits = [verdict for verdict in verdicts if isinstance(verdict, Retry)]
        return progress.wait(waits[0]) if waits else verdicts[0]

    def alert(self, alert: Alert, notification: Notification, now: float) -> dict[str, Any]:
        """Return an alert as Alertmanager takes it; one that fires ends unless told again."""
        over = alert.ends_at is not None and alert.resolved(notification.at)
        ends = alert.ends_at if over and alert.ends_at is not None else now + self.resolve_timeout
        found = {
            "labels": {named(name): value for name, value in alert.labels.items()},
            "annotations": {named(name): value for name, value in alert.annotations.items()},
            "startsAt": iso(alert.starts_at),
            "endsAt": iso(ends),
        }
        if callable_url(alert.generator_url):
            found["generatorURL"] = alert.generator_url
        return found

    def _tell(
        self, url: str, batches: Sequence[list[dict[str, Any]]], call: Call, progress: Progress
    ) -> Verdict:
        """Post what one member did not take yet, until something is in the way."""
        refused: Verdict | None = None
        for place, batch in enumerate(batches):
            name = f"{url} {place}"
            if progress.has(name):
                continue
            verdict = progress.late() or self._post(url, batch, call)
            if isinstance(verdict, Retry):
                return verdict
            if isinstance(verdict, Permanent):
                refused = refused or verdict
                continue
            progress.take(name)
        return refused or Sent()

    def _post(self, url: str, batch: list[dict[str, Any]], call: Call) -> Verdict:
        """Post a batch; if it is refused, its halves, so that one bad alert harms few others."""
        verdict = self._post_whole(url, batch, call)
        bad = isinstance(verdict, Permanent) and verdict.detail == _BAD_REQUEST
        if not bad or len(batch) == 1:
            return verdict
        middle = len(batch) // 2
        halves = [self._post_whole(url, half, call) for half in (batch[:middle], batch[middle:])]
        for kind in (Retry, Permanent):
            for half in halves:
                if isinstance(half, kind):
                    return half
        return Sent()

    def _post_whole(self, url: str, batch: list[dict[str, Any]], call: Call) -> Verdict:
        return exchange(
            call,
            lambda: call.outbound.post(url + PATH, orjson.dumps(batch), self.credentials.headers()),
        )


def named(name: str) -> str:
    """Return a name that every Alertmanager takes: ASCII letters, digits and underscores."""
    plain = _NO_NAME.sub("_", name)
    return f"_{plain}" if plain[:1].isdecimal() else plain


def read(section: Section, _: Ambient) -> Alertmanager:
    """Read one entry of `alertmanager_configs`."""
    urls = [text.value.rstrip("/") for text in section.texts("urls") or ()]
    if not urls:
        section.problem("missing urls: name every member of the cluster", "urls")
    for url in urls:
        if not callable_url(url):
            section.problem("urls must be http or https URLs", "urls")
    timeout = section.duration("resolve_timeout")
    if timeout is not None and timeout < LEAST_TIMEOUT:
        section.problem(f"resolve_timeout must be at least {LEAST_TIMEOUT:g}s", "resolve_timeout")
    return Alertmanager(
        urls=tuple(urls),
        credentials=read_credentials(section),
        resolve_timeout=RESOLVE_TIMEOUT if timeout is None else timeout,
        send_resolved=section.flag("send_resolved", default=True),
    )
