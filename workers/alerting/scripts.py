"""The texts of alerting's scripts, put together: some run effects, as the ledger's do."""

from __future__ import annotations

from typing import Final

from workers.alerting.groups import lua
from workers.ledger import transitions

SHARED: Final = ("room.lua",)


def plain(name: str) -> str:
    """Return a script that stands alone."""
    return lua(name)


def with_jobs(name: str) -> str:
    """Return a script that can push a job."""
    return "\n".join([transitions.lua("record.lua"), lua(name)])


def with_effects(name: str) -> str:
    """Return a script that can run the effect `alert` in the same write."""
    effects = [transitions.lua("record.lua"), transitions.lua("effects.lua"), lua("groups.lua")]
    return "\n".join([*effects, *map(lua, SHARED), lua(name)])


def effect_args(effects: list[transitions.Effect]) -> list[str | bytes | int | float]:
    """Return effects as the scripts take them."""
    args: list[str | bytes | int | float] = [len(effects)]
    for effect in effects:
        args += [effect.name, len(effect.args), *effect.args]
    return args
