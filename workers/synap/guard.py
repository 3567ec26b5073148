"""What must not be active: a configuration judged by rules, each of which says why and what to do.

Pure: everything that a rule may know is in its `Case`. A rule whose evidence is missing says so;
it neither fires nor stays silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from workers.severity import Severity
from workers.synap.schema import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is known of an instance that no configuration says.

    `llm_window` is the context window of the LLM behind it in tokens, `memory_budget` what of it
    may hold memories, if that is another number than the checklist's.
    """

    production: bool = False
    latency_critical: bool = False
    llm_window: int | None = None
    memory_budget: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A configuration before the rules; None stands for what is not known.

    `before` is the configuration that it replaced; with `first` there was none. `reviewed_by` is
    empty when nobody approved it. `pinned` is the version that is expected, empty if none is.
    """

    settings: Settings | None = None
    before: Settings | None = None
    first: bool = False
    config_id: str = ""
    author: str | None = None
    reviewed_by: str | None = None
    mode: str | None = None
    pinned: str = ""
    profile: Profile = field(default_factory=Profile)

    @property
    def fields(self) -> Settings:
        """The settings of a case whose settings are known."""
        assert self.settings is not None
        return self.settings


class Unchecked(NamedTuple):
    """A rule could not be checked, and why."""

    why: str


UNREAD: Final = Unchecked("the configuration could not be read")


Verdict: TypeAlias = str | Unchecked | None
"""What a rule says: the violation in words, that it could not look, or nothing."""

Options: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: `why` it matters, the `item` it comes from, the `fix`, its numbers (`options`).

    `reads` says that it looks at the settings, and not only at how they came to be active.
    """

    name: str
    severity: Severity
    why: str
    item: str
    fix: str
    check: Callable[[Case, Options], Verdict]
    options: Options = field(default_factory=dict)
    reads: bool = True

    def verdict(self, case: Case) -> Verdict:
        """Return what this rule says."""
        if self.reads and case.settings is None:
            return UNREAD
        return self.check(case, self.options)


class Violation(NamedTuple):
    """A rule that fired; `text` says what is wrong."""

    rule: str
    severity: Severity
    text: str
    why: str
    item: str
    fix: str

    @property
    def machine(self) -> dict[str, str]:
        """The violation as a program reads it."""
        return {**self._asdict(), "severity": self.severity.value}


class Skipped(NamedTuple):
    """A rule that could not be checked."""

    rule: str
    why: str


class Judgement(NamedTuple):
    """What the rules say of one configuration."""

    violations: tuple[Violation, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether no rule fired."""
        return not self.violations


def judge(rules: Iterable[Rule], case: Case) -> Judgement:
    """Return what every rule says, in their order."""
    violations, skipped = [], []
    for rule in rules:
        said = rule.verdict(case)
        if isinstance(said, Unchecked):
            skipped.append(Skipped(rule.name, said.why))
        elif said is not None:
            violations.append(
                Violation(rule.name, rule.severity, said, rule.why, rule.item, rule.fix)
            )
    return Judgement(tuple(violations), tuple(skipped))
