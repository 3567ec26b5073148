"""Tell one of Apprise's URLs, as a process of its own: `python -I apprise_call.py < message`.

Apprise's hundred plugins call out by themselves. Here they find nothing of ours, may take little
memory, and are killed when they take too long. The message is JSON: url, title, body, kind.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

TOLD: Final = 0
FAILED: Final = 3
UNKNOWN: Final = 4
"""Exit statuses: told; not told; no URL that Apprise knows."""

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
MEMORY: Final = 1 << 30
"""Bytes of address space: so much at most can an answer, read whole, take."""


def main() -> int:
    """Tell it, and return what came of it."""
    with suppress(ValueError, OSError):  # macOS has the limit in name only
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable()  # Apprise writes what it sends and where
    message = json.load(sys.stdin)
    plugin = _plugin(message["url"])
    if plugin is None:
        return UNKNOWN
    told = plugin.notify(title=message["title"], body=message["body"], notify_type=message["kind"])
    return TOLD if told else FAILED


def _plugin(url: str) -> Any:
    """Return Apprise's client of a URL, guarded as far as it can be; None if it knows none."""
    apprise = import_module("apprise")
    asset = apprise.AppriseAsset(app_id="synap-hooks", app_desc="synap-hooks", async_mode=False)
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is not None:
        plugin.socket_connect_timeout = CONNECT_SECONDS
        plugin.socket_read_timeout = READ_SECONDS
        plugin.verify_certificate = True
        plugin.redirects = False
    return plugin


if __name__ == "__main__":
    sys.exit(main())
