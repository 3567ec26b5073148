"""The `inhibit_rules` section of the configuration, read strictly, in Alertmanager's words."""

from __future__ import annotations

from workers.alerting.inhibition import Inhibitor, Missing, Rule
from workers.alerting.matchers import Matcher
from workers.alerting.route_section import LABEL_NAME, read_matchers, read_table
from workers.section import Section


def read_rules(section: Section) -> Inhibitor:
    """Read every rule; problems are noted in the section's findings."""
    return Inhibitor([_read(rule) for rule in section.sections("inhibit_rules", "inhibit_rule")])


def _read(section: Section) -> Rule:
    sources, targets = _side(section, "source"), _side(section, "target")
    for side, matchers in (("source", sources), ("target", targets)):
        if not matchers:
            section.warn(f"inhibit_rule without {side} matchers: every alert is a {side}")
    rule = Rule(
        sources=sources,
        targets=targets,
        equal=_equal(section),
        equal_missing=_missing(section),
        name=section.text("name"),
        line=section.line,
    )
    section.close()
    return rule


def _side(section: Section, side: str) -> tuple[Matcher, ...]:
    return tuple(
        sorted(
            [
                *read_table(section, f"{side}_match", f"{side}_match_re"),
                *read_matchers(section.texts(f"{side}_matchers") or [], section),
            ],
            key=lambda matcher: matcher.sort_key,
        )
    )


def _equal(section: Section) -> tuple[str, ...]:
    names = section.texts("equal") or []
    for text in names:
        if not LABEL_NAME.fullmatch(text.value):
            section.findings.problem(text.line, f'invalid label name "{text.value}" in equal list')
    return tuple(sorted({text.value for text in names}))


def _missing(section: Section) -> Missing:
    text = section.text("equal_missing", Missing.MATCH)
    if text not in list(Missing):
        section.problem('field "equal_missing" must be match or ignore', "equal_missing")
        return Missing.MATCH
    return Missing(text)
