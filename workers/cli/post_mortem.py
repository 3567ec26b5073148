"""The beginning of a post-mortem: a timeline of what is known, and the questions that are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from workers.cli.output import iso
from workers.cli.rollback_plan import Done, Order, Plan
from workers.handlers.fields import UNKNOWN, clean
from workers.synap.answers import Version
from workers.synap.difference import difference, in_words
from workers.synap.violations import RULE


class Moment(NamedTuple):
    """One line of the timeline; `at` is Unix seconds."""

    at: float
    what: str


class PostMortem:
    """What is known of a change that was taken back."""

    def __init__(self, order: Order, plan: Plan, done: Done, versions: Sequence[Version]) -> None:
        self._order, self._plan, self._done = order, plan, done
        row = next((row for row in versions if row.config_id == plan.current.config_id), None)
        moments = [*_of_version(plan, row), *_of_rollback(order, plan, done)]
        self.timeline = sorted(moments, key=lambda moment: moment.at)

    @property
    def machine(self) -> dict[str, Any]:
        """The post-mortem as a program reads it."""
        lines = [{"at": iso(moment.at), "what": moment.what} for moment in self.timeline]
        return {"timeline": lines, "post_mortem": self.text}

    @property
    def text(self) -> str:
        """The skeleton, in Markdown."""
        order, plan = self._order, self._plan
        lines = [f"- {iso(moment.at)}  {moment.what}" for moment in self.timeline]
        closed = ", ".join(self._done.rules) or "none"
        return "\n".join(
            [
                f"# Post-mortem: configuration {plan.current.named} on {order.instance}",
                "",
                "## Timeline (UTC)",
                *lines,
                "",
                "## What changed, and was taken back",
                f"{in_words(difference(plan.goal.settings, plan.current.settings), most=50)}.",
                "",
                "## Impact",
                f"Alerts of the guard that ended with it: {closed}.",
                "Memories that were ingested meanwhile are kept: a rollback does not undo storage.",
                "Who noticed what, from when to when?",
                "",
                "## Why it happened",
                "What was the change for? What did the review look at? What would have shown it?",
                "",
                "## What we change",
                "- [ ] a rule of the guard, or a check in CI (synap-hooks maca check)",
                "- [ ] ",
            ]
        )


def _of_version(plan: Plan, row: Version | None) -> Iterator[Moment]:
    """Yield the life of the version that was taken back."""
    named = plan.current.named
    if row is not None and row.created_at is not None:
        author, reason = row.triggered_by or UNKNOWN, row.reason or UNKNOWN
        reviewer = row.reviewed_by or "nobody"
        yield Moment(row.created_at, f"{named} submitted by {author}: {reason}")
        yield Moment(row.created_at, f"reviewed by {reviewer} (Synap does not say when)")
    if plan.current.applied_at is not None:
        by = plan.current.applied_by or UNKNOWN
        yield Moment(plan.current.applied_at, f"{named} applied by {by}")


def _of_rollback(order: Order, plan: Plan, done: Done) -> Iterator[Moment]:
    reason = clean(order.reason) or "no reason given"
    for alert in done.ended:
        yield Moment(alert.starts_at, f"the guard alerted: {alert.labels.get(RULE, UNKNOWN)}")
    yield Moment(done.at, f"{plan.goal.named} made active again by {order.actor}: {reason}")
    if done.verified:
        yield Moment(done.at, f"verified: Synap names {plan.goal.named} as the active one")
