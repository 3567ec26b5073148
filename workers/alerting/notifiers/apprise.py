"""Target `apprise`: the hundred services that Apprise knows, by its URLs.

Apprise only says whether a message went out, so every failure counts as one that may pass and may
have arrived. Its calls are its own and not guarded like ours: it is for what nothing else reaches.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final

from workers.alerting.notification import Call, Notification
from workers.alerting.notifiers.ambient import Ambient
from workers.alerting.notifiers.extras import require
from workers.alerting.notifiers.steps import short
from workers.alerting.wording import headline, rank, severity, shown, text
from workers.outbound import Permanent, Reason, Retry, Sent, Verdict
from workers.section import Secret, SecretUnreadableError, Section

EXTRA: Final = "apprise"

_LIBRARY_LOGGERS: Final = ("apprise", "urllib3", "requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Apprise:
    """Tells one of Apprise's URLs, which holds its secrets."""

    url: Secret
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
            plugin = _plugin(self.url.reveal())
        except SecretUnreadableError as error:
            return Retry(Reason.OTHER, str(error))
        if plugin is None:
            return Permanent(Reason.CLIENT_ERROR, "no URL that Apprise knows")
        said = plugin.notify(
            title=headline(notification), body=text(notification), notify_type=kind(notification)
        )
        return Sent() if said else Retry(Reason.OTHER, "Apprise could not tell it", ambiguous=True)


def kind(notification: Notification) -> str:
    """Return how bad it is in Apprise's words."""
    if not notification.firing:
        return "success"
    return "failure" if rank(severity(shown(notification))) <= rank("error") else "warning"


def _plugin(url: str) -> Any:
    """Return Apprise's own client of one URL; None if it knows none."""
    for name in _LIBRARY_LOGGERS:
        # Apprise writes what it sends and where.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    apprise = import_module("apprise")
    asset = apprise.AppriseAsset(app_id="synap-hooks", app_desc="synap-hooks", async_mode=False)
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def read(section: Section, _: Ambient) -> Apprise:
    """Read one entry of `apprise_configs`."""
    require(section, "apprise", EXTRA)
    url = section.secret("url")
    if url is None:
        section.problem("one of url or url_file must be configured")
    elif url.value is not None and "://" not in url.reveal():
        section.problem("url is none of Apprise's: scheme://…", "url")
    return Apprise(url=url or Secret(), send_resolved=section.flag("send_resolved", default=False))
