"""What holds what back: the rules as tables, then through Redis, flush by flush."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.build import NOW, make_alert
from tests.sink import Sink
from tests.workers.alerting.conftest import Build
from tests.workers.alerting.house import ROOM, TAKEN, House, config_of, events, page
from workers.alerting.inhibition import Inhibitor, inhibited_by
from workers.section import DocumentError

BASE = "route: {receiver: r}\nreceivers: [{name: r}]\ninhibit_rules:\n"

Labels = Mapping[str, str]


def inhibitor(rule: str) -> Inhibitor:
    """Return the rules of a configuration that has this one."""
    return config_of(f"{BASE}  - {{{rule}}}\n").inhibitor


def inhibited(rule: str, target: Labels, active: Sequence[Labels]) -> bool:
    """Say whether an alert is held back while others are active."""
    rules = inhibitor(rule)
    occupied = [spot for labels in active for spot in rules.sources(labels)]
    return inhibited_by(rules, occupied)(target) is not None


DOWN = "source_matchers: [a=down], target_matchers: [a=slow]"


@pytest.mark.parametrize(
    ("rule", "target", "active", "expected"),
    [
        pytest.param(DOWN, {"a": "slow"}, [{"a": "down"}], True, id="plain"),
        pytest.param(DOWN, {"a": "slow"}, [], False, id="no-source"),
        pytest.param(DOWN, {"a": "other"}, [{"a": "down"}], False, id="no-target"),
        pytest.param(
            f"{DOWN}, equal: [c]", {"a": "slow", "c": "1"}, [{"a": "down", "c": "1"}], True,
            id="equal",
        ),
        pytest.param(
            f"{DOWN}, equal: [c]", {"a": "slow", "c": "1"}, [{"a": "down", "c": "2"}], False,
            id="not-equal",
        ),
        pytest.param(
            f"{DOWN}, equal: [c, d]", {"a": "slow", "c": "1", "d": "2"},
            [{"a": "down", "c": "1"}], False, id="every-equal-label",
        ),
        pytest.param(
            f"{DOWN}, equal: [c]", {"a": "slow"}, [{"a": "down"}], True, id="both-lack-it",
        ),
        pytest.param(
            f"{DOWN}, equal: [c]", {"a": "slow"}, [{"a": "down", "c": ""}], True,
            id="empty-is-missing",
        ),
        pytest.param(
            "source_match: {a: down}, target_match_re: {a: 'sl.*'}", {"a": "slow"},
            [{"a": "down"}], True, id="older-words",
        ),
        pytest.param(
            "source_matchers: [s=1, t=1], target_matchers: [a=slow]", {"a": "slow"},
            [{"s": "1"}, {"t": "1"}], False, id="all-matchers-of-one-source",
        ),
    ],
)  # fmt: skip
def test_what_a_rule_holds_back(
    rule: str, target: Labels, active: list[Labels], *, expected: bool
) -> None:
    """B29: a target with an active source that agrees on every equal label is held back."""
    assert inhibited(rule, target, active) is expected


BOTH = "source_matchers: [s=1], target_matchers: [t=1]"


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        pytest.param([{"s": "1", "t": "1", "n": "2"}], False, id="source-is-a-target-too"),
        pytest.param([{"s": "1", "n": "2"}], True, id="source-alone"),
        pytest.param(
            [{"s": "1", "t": "1", "n": "2"}, {"s": "1", "n": "3"}], True, id="one-of-each"
        ),
    ],
)
def test_an_alert_on_both_sides(active: list[Labels], *, expected: bool) -> None:
    """B30: alerts that are source and target at once do not silence each other, or themselves."""
    assert inhibited(BOTH, {"s": "1", "t": "1", "n": "1"}, active) is expected


def test_a_target_alone_is_held_back_by_a_source_on_both_sides() -> None:
    """B30: the guard is for targets that are sources; others are held back by either kind."""
    assert inhibited(BOTH, {"t": "1"}, [{"s": "1", "t": "1"}])


@pytest.mark.parametrize(
    ("missing", "target", "source", "expected"),
    [
        pytest.param("match", {"a": "slow"}, {"a": "down"}, True, id="match-as-alertmanager"),
        pytest.param("ignore", {"a": "slow"}, {"a": "down"}, False, id="ignore"),
        pytest.param(
            "ignore", {"a": "slow", "c": "1"}, {"a": "down", "c": "1"}, True, id="ignore-but-there"
        ),
    ],
)
def test_equal_labels_that_both_lack(
    missing: str, target: Labels, source: Labels, *, expected: bool
) -> None:
    """D5: `equal_missing: ignore` says that lacking a label together is no agreement."""
    rule = f"{DOWN}, equal: [c], equal_missing: {missing}"

    assert inhibited(rule, target, [source]) is expected


def test_a_reason_names_the_rule() -> None:
    """A person who asks why is told which rule it was."""
    named = inhibitor(f"{DOWN}, name: nodes")
    plain = inhibitor(DOWN)
    labels = {"a": "slow"}

    reasons = [
        inhibited_by(rules, rules.sources({"a": "down"}))(labels) for rules in (named, plain)
    ]

    assert reasons == ["inhibited by rule nodes", "inhibited by rule at line 4"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param("equal: [1x]", 'invalid label name "1x" in equal list', id="equal"),
        pytest.param("equal_missing: no", 'field "equal_missing" must be match or ignore', id="em"),
        pytest.param("sources: []", 'unknown field "sources" in inhibit_rule', id="unknown"),
        pytest.param("source_matchers: ['a=~(?=x)']", "invalid regular expression", id="re2"),
    ],
)
def test_what_a_rule_may_not_say(rule: str, expected: str) -> None:
    """Mistakes in a rule are refused with their line."""
    with pytest.raises(DocumentError) as caught:
        inhibitor(rule)

    assert caught.value.problems[0].startswith("hooks.yml:4: ")
    assert expected in caught.value.problems[0]


def test_a_rule_that_holds_everything_back_is_doubtful() -> None:
    """A rule without matchers on one side is allowed, with a warning."""
    config = config_of(BASE + "  - {source_matchers: [a=b]}\n")

    assert "hooks.yml:4: inhibit_rule without target matchers: every alert is a target" in [
        str(warning) for warning in config.warnings
    ]


RULE = """
inhibit_rules:
  - {source_matchers: [alertname=Down], target_matchers: [alertname=Slow], equal: [instance_id]}
"""


@pytest.fixture
def ruled(build: Build, sink: Sink) -> House:
    """Return a house in which Down holds Slow of the same instance back."""
    sink.answer(202, TAKEN)
    return build(page(sink) + RULE)


def slow_told(sink: Sink) -> list[str]:
    """Return the actions by which Slow was told."""
    return [
        action
        for seen, (action, _) in zip(sink.seen, events(sink), strict=True)
        if b"Slow" in seen.body or action == "resolve"
    ]


def test_a_target_is_not_told_while_its_source_fires(ruled: House, sink: Sink) -> None:
    """B32: inhibition is asked for at the flush, so a source that came after its target counts."""
    ruled.report(make_alert("Slow"))
    ruled.report(make_alert("Down"))

    ruled.work()

    assert slow_told(sink) == []
    assert len(sink.seen) == 1


def test_another_instance_is_told(ruled: House, sink: Sink) -> None:
    """B29: a source holds back only what agrees with it."""
    ruled.report(make_alert("Down", instance_id="other"), make_alert("Slow"))

    ruled.work()

    assert slow_told(sink) == ["trigger"]


def test_one_of_several_sources_that_ends_frees_nothing(ruled: House, sink: Sink) -> None:
    """B31, D5: all active sources are kept, so another one goes on holding back."""
    ruled.report(make_alert("Down", host="1"), make_alert("Down", host="2"), make_alert("Slow"))
    ruled.work()
    ruled.report(make_alert("Down", host="2", ends_at=NOW + 5, now=NOW + 5))

    ruled.pass_time(61)
    held_back = slow_told(sink)
    ruled.report(make_alert("Down", host="1", ends_at=ruled.now, now=ruled.now))
    ruled.pass_time(61)

    assert held_back == []
    assert "trigger" in slow_told(sink)


def test_a_source_whose_end_was_assumed_ends_by_itself(ruled: House, sink: Sink) -> None:
    """B29: a source counts while it is active, and no longer."""
    ruled.report(make_alert("Down", ends_at=NOW + 30), make_alert("Slow"))
    ruled.work()

    ruled.pass_time(61)

    assert "trigger" in slow_told(sink)


def test_an_inhibited_end_is_not_told_either(ruled: House, sink: Sink) -> None:
    """B32: what nobody heard of need not be ended."""
    ruled.report(make_alert("Down"), make_alert("Slow"))
    ruled.work()
    ruled.report(make_alert("Slow", ends_at=NOW + 5, now=NOW + 5))

    ruled.pass_time(61)

    assert slow_told(sink) == []
    assert len(ruled.group_ids()) == 1


def test_what_was_told_is_ended_though_it_is_held_back_now(ruled: House, sink: Sink) -> None:
    """D1: an incident that opened before its source fired closes when its alert is over."""
    ruled.report(make_alert("Slow"))
    ruled.work()
    ruled.report(make_alert("Down", now=NOW + 1))
    ruled.report(make_alert("Slow", ends_at=NOW + 5, now=NOW + 5))

    ruled.pass_time(61)

    assert slow_told(sink) == ["trigger", "resolve"]


def test_a_source_from_before_the_rule_counts_after_its_next_flush(
    build: Build, sink: Sink
) -> None:
    """A rule that is added learns of active sources when their groups are flushed."""
    sink.answer(202, TAKEN)
    home = build(page(sink))
    home.report(make_alert("Down"))
    home.work()
    home.config = config_of(page(sink) + RULE)
    home.pass_time(61)

    home.report(make_alert("Slow", now=home.now))
    home.work()

    assert slow_told(sink) == []


def test_a_source_that_ended_during_a_flush_is_not_brought_back(ruled: House) -> None:
    """A flush that saw a source firing does not write it down again after its end."""
    ruled.report(make_alert("Down"))
    ((_, groups),) = ruled.jobs()
    store = ruled.dispatcher._store
    finish = store.finish

    def meanwhile(*args: object) -> bool:
        ruled.report(make_alert("Down", ends_at=NOW + 1, now=NOW + 1))
        return finish(*args)  # type: ignore[arg-type]

    ruled.now += 2
    store.finish = meanwhile  # type: ignore[method-assign]
    ruled.dispatcher.flush(groups, ruled.now)

    ends = [
        ruled.redis.zrange(key, 0, -1, withscores=True)[0][1]
        for key in ruled.redis.keys(f"{ROOM}source:*")
    ]
    assert ends == [NOW + 1]
