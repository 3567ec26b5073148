"""A Synap of our own: what is documented of its API, and what it sends.

    state     instances, their configurations and the life cycle of these
    keys      API keys: issued, revoked, and how often each may call
    app       the HTTP API over both, with faults on demand
    sandbox   all of it under a real server
    sender    signed deliveries, retried on the documented schedule of a virtual clock

What the documents do not say is decided here as tolerantly as a client must expect it, and marked
"assumed". Never part of the installed package.
"""

from __future__ import annotations

from tests.sandbox.clock import VirtualClock
from tests.sandbox.faults import Fault
from tests.sandbox.keys import FREE, PRO, UNLIMITED, Plan
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.sender import Sender, http_post

__all__ = [
    "FREE", "PRO", "UNLIMITED", "Fault", "Plan", "Sandbox", "Sender", "VirtualClock", "http_post",
]  # fmt: skip
