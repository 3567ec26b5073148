"""What the machine needs of the side on which the key is used: its copies, and its own word.

The rules of `workers.rotation.ports` hold here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from workers.rotation.ports import Side, Slot


class Copy(Protocol):
    """A place that something else fills from a store, and from which applications take the key.

    `name` shows in alerts, logs and the history.
    """

    @property
    def name(self) -> str:
        """Kind and place, unique within one credential."""
        ...

    def read(self) -> Slot | None:
        """Return what applications get from it; None when there is nothing.

        Raises:
            TransientError, PermanentError.
        """
        ...

    def ask(self, mark: str) -> None:
        """Let it be filled anew; asking again with the same mark changes nothing.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...


class Witness(Protocol):
    """Asks the applications that run which key they use; what they show is a digest of it."""

    def ask(self, new: str, old: str) -> Mapping[str, Side]:
        """Return what each instance shows, by its name: THIRD is neither key, or no answer.

        Args:
            new: the digits of the new key.
            old: those of the old one; empty if nobody knows it any more.

        Raises:
            TransientError, PermanentError.
        """
        ...
