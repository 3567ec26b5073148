"""How a `type` of the configuration becomes code: by a table, and only when it is configured.

The SDKs of clouds are heavy and optional. A module that needs one is imported here and nowhere
else, when a section names it; a missing one is a problem of that section.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from workers.section import Section

_OURS: Final = "workers"


class Adapter(NamedTuple):
    """Where a type is written, and which extra of the distribution brings what it needs."""

    module: str
    extra: str = ""


def load(table: Mapping[str, Adapter], section: Section, what: str) -> Any:
    """Return what the section's `type` reads to; None with a noted problem if it cannot be.

    Args:
        table: the types that exist.
        section: asked for its fields by the adapter's `read`, then closed.
        what: what is configured, for messages.
    """
    kind = section.text("type")
    adapter = table.get(kind)
    if adapter is None:
        known = ", ".join(sorted(table))
        section.problem(f'"{kind}" is no type of {what}: use one of {known}', "type")
        return None
    try:
        module = import_module(adapter.module)
    except ModuleNotFoundError as error:
        if not adapter.extra or (error.name or "").partition(".")[0] == _OURS:
            raise
        section.problem(
            f'{what} "{kind}" needs the package "{error.name}", which is not installed: '
            f"pip install 'synap-hooks[{adapter.extra}]'",
            "type",
        )
        return None
    found = module.read(section)
    section.close()
    return found
