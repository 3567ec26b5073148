"""Types that this release does not know, test events among them: listed, and nobody is called."""

from __future__ import annotations

from receiver.event import Event
from workers.handlers.decision import Context, Decision


def decide(_event: Event, _context: Context) -> Decision:
    """Decide nothing: the event is in `synap-hooks events list --type unknown`."""
    return Decision((), "unknown type, listed")
