"""Rollout `none`: applications read the store by themselves, nothing has to be restarted."""

from __future__ import annotations

from collections.abc import Sequence

from workers.rotation.ports import Phase, Progress, Stamp
from workers.section import Section


class Nothing:
    """Has no waves."""

    def waves(self) -> Sequence[tuple[str, ...]]:
        """Return none."""
        return ()

    def status(self, wave: tuple[str, ...], stamp: Stamp) -> Progress:
        """Return that it is done."""
        del wave, stamp
        return Progress(Phase.DONE, "nothing has to be restarted")

    def start(self, wave: tuple[str, ...], stamp: Stamp) -> None:
        """Do nothing."""


def read(section: Section) -> Nothing:
    """Read the entry of type `none`."""
    del section
    return Nothing()
