"""Target `apprise`: the hundred services that Apprise knows, by its URLs.

Apprise only says whether a message went out, so every failure counts as one that may pass and may
have arrived. Its calls are its own and not guarded like ours: they are made in a process apart,
which ends in time. It is for what nothing else reaches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers import apprise_call
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.extras import require
from workers.alerting.notifiers.steps import short
from workers.alerting.wording import headline, rank, severity, shown, text
from workers.outbound import Permanent, Reason, Retry, Sent, Verdict
from workers.section import Secret, SecretUnreadableError, Section

EXTRA: Final = "apprise"

SECONDS: Final = 20.0
"""Seconds for a whole call: an attempt ends within its delivery's lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apprise:
    """Tells one of Apprise's URLs, which holds its secrets; `environment` is all it gets of us."""

    url: Secret
    environment: Mapping[str, str] = field(default_factory=dict)
    send_resolved: bool = False

    durable: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    stateful: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False

    @property
    def account(self) -> str:
        """What shares a rate: the URL, as a digest or by its file."""
        return str(self.url.file or short(self.url.reveal()))

    def notify(self, notification: Notification, call: Call) -> Verdict:
        """Hand the message over."""
        del call
        try:
            url = self.url.reveal()
        except SecretUnreadableError as error:
            return Retry(Reason.OTHER, str(error))
        message = {
            "url": url,
            "title": headline(notification),
            "body": text(notification),
            "kind": kind(notification),
        }
        return hand_over(json.dumps(message).encode(), self.environment)


def hand_over(
    message: bytes, environment: Mapping[str, str], *, seconds: float = SECONDS
) -> Verdict:
    """Have a message told by a process of its own, which is killed when its time is over."""
    try:
        done = subprocess.run(  # noqa: S603 - our own file, with this interpreter
            [sys.executable, "-I", str(Path(apprise_call.__file__))],
            input=message,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Retry(Reason.DEADLINE, "Apprise came to no end in time", ambiguous=True)
    if done.returncode == apprise_call.TOLD:
        return Sent()
    if done.returncode == apprise_call.UNKNOWN:
        return Permanent(Reason.CLIENT_ERROR, "no URL that Apprise knows")
    return Retry(Reason.OTHER, "Apprise could not tell it", ambiguous=True)


def kind(notification: Notification) -> str:
    """Return how bad it is in Apprise's words."""
    if not notification.firing:
        return "success"
    return "failure" if rank(severity(shown(notification))) <= rank("error") else "warning"


def read(section: Section, _: Ambient) -> Apprise:
    """Read one entry of `apprise_configs`."""
    require(section, "apprise", EXTRA)
    url = section.secret("url")
    if url is None:
        section.problem("one of url or url_file must be configured")
    elif url.value is not None and "://" not in url.reveal():
        section.problem("url is none of Apprise's: scheme://…", "url")
    return Apprise(
        url=url or Secret(),
        environment={"PATH": os.defpath, **section.table("environment")},
        send_resolved=section.flag("send_resolved", default=False),
    )
