"""The texts of alerting's scripts, put together: some run effects, as the ledger's do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError

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


def together(redis: Redis, *runs: tuple[Script, Sequence[Any]]) -> list[Any]:
    """Run scripts one after the other in one round trip; return their answers.

    redis-py's own pipeline would ask first whether the server knows them, in one more. After the
    server forgot one, it runs last.
    """
    with redis.pipeline(transaction=False) as pipe:
        for script, args in runs:
            pipe.evalsha(script.sha, 0, *args)
        answers = pipe.execute(raise_on_error=False)
    found = []
    for (script, args), answer in zip(runs, answers, strict=True):
        if isinstance(answer, NoScriptError):
            found.append(script(args=args))
        elif isinstance(answer, Exception):
            raise answer
        else:
            found.append(answer)
    return found
