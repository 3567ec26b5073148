"""What handlers may ask beside the event itself.

Whoever answers never raises for what is not known, but says why it is not. Asking is all that
handlers do: what has to be remembered leaves with the decision, as notes.
"""

from __future__ import annotations

from typing import Final, Protocol

from workers.synap.guard import Judgement
from workers.synap.records import Inspection, Known, Question, Record
from workers.synap.runs import Run

NOBODY_TO_ASK: Final = "nothing: there is nobody to ask"


class Lookups(Protocol):
    """Synap's API and the service's own memory; deadlines are Unix seconds."""

    def inspect(self, asked: Question, *, deadline: float) -> Inspection:
        """Look a configuration up and judge it, in at most three requests."""
        ...

    def active(self, instance_id: str, *, deadline: float) -> Known:
        """Return the active configuration, or why it is not known, in at most one request."""
        ...

    def latest_change(self, instance_id: str) -> Record | None:
        """Return which configuration became active last, without any request."""
        ...

    def runs(self, instance_id: str, scope: str) -> tuple[Run, ...]:
        """Return the last retention runs of an instance and scope, without any request."""
        ...


class Alone:
    """There is nobody to ask and nothing is remembered."""

    def inspect(self, asked: Question, *, deadline: float) -> Inspection:
        """Find nothing out."""
        del asked, deadline
        return Inspection(Judgement(), missed=(NOBODY_TO_ASK,))

    def active(self, instance_id: str, *, deadline: float) -> Known:
        """Find nothing out."""
        del instance_id, deadline
        return Known(why=NOBODY_TO_ASK)

    def latest_change(self, instance_id: str) -> Record | None:
        """Know of nothing."""
        del instance_id
        return None

    def runs(self, instance_id: str, scope: str) -> tuple[Run, ...]:
        """Know of none."""
        del instance_id, scope
        return ()
