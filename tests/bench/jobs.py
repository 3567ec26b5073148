"""The job of the comparison; RQ finds it by its name."""

from __future__ import annotations


def noop(key: str) -> None:
    """Do nothing."""
    del key
