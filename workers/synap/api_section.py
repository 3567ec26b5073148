"""The `synap` section: how Synap's API is called; the defaults are those that Synap documents."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.section import Section
from workers.synap.pace import FREE_PER_MINUTE, Allowance
from workers.synap.transport import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """The whole section."""

    policy: Policy = field(default_factory=Policy)
    allowance: Allowance = field(default_factory=Allowance)


def read(section: Section) -> ApiConfig:
    """Read the section; problems are noted in its findings."""
    standard = Policy()

    def seconds(name: str, default: float) -> float:
        found = section.duration(name)
        if found is not None and found <= 0:
            section.problem(f"{name} cannot be zero", name)
        return found or default

    config = ApiConfig(
        policy=Policy(
            attempts=section.integer("attempts", standard.attempts, least=1),
            backoff_base=seconds("backoff_base", standard.backoff_base),
            backoff_cap=seconds("backoff_cap", standard.backoff_cap),
            connect=seconds("connect_timeout", standard.connect),
            read=seconds("read_timeout", standard.read),
            write=seconds("write_timeout", standard.write),
        ),
        allowance=Allowance(section.integer("calls_per_minute", FREE_PER_MINUTE, least=1)),
    )
    section.close()
    return config
