"""Messages of several calls."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.workers.alerting.notifiers.conformance import call
from workers.alerting.notifiers.steps import Memory, Step, in_order, short
from workers.outbound import Outbound, Permanent, Reason, Retry, Sent, Verdict

REFUSED = Permanent(Reason.CLIENT_ERROR, "no")
FORBIDDEN = Permanent(Reason.AUTH_ERROR, "who?")
LATER = Retry(Reason.SERVER_ERROR, "later")


def steps(made: list[str], *verdicts: Verdict) -> Iterator[Step]:
    """Yield steps that come to these verdicts, and note which were made."""

    def run(name: str, verdict: Verdict, _: Memory) -> Verdict:
        made.append(name)
        return verdict

    for place, verdict in enumerate(verdicts):
        name = "abcdef"[place]
        yield Step(name, partial(run, name, verdict))


@pytest.mark.parametrize(
    ("verdicts", "expected", "made"),
    [
        pytest.param([], Sent("", {}), "", id="nothing-to-do"),
        pytest.param([Sent("1"), Sent("2")], Sent("1", {}), "ab", id="all"),
        pytest.param([Sent(memory={"x": "1"}), Sent()], Sent("", {"x": "1"}), "ab", id="memory"),
        pytest.param([LATER, Sent()], LATER, "a", id="stops"),
        pytest.param(
            [Sent(), LATER, Sent()],
            LATER._replace(memory={"progress": f"delivery-1 {short('a')}"}),
            "ab",
            id="progress",
        ),
        pytest.param([REFUSED, REFUSED], REFUSED, "ab", id="refused"),
        pytest.param(
            [REFUSED, Sent()],
            REFUSED._replace(memory={"progress": f"delivery-1 {short('b')}"}),
            "ab",
            id="goes-on",
        ),
        pytest.param([FORBIDDEN, Sent()], FORBIDDEN, "a", id="not-for-who-we-are"),
    ],
)
def test_steps_are_made_in_order(
    outbound: Outbound, verdicts: list[Verdict], expected: Verdict, made: str
) -> None:
    """What was taken is remembered when the whole is not through, and forgotten when it is."""
    done: list[str] = []

    assert in_order(steps(done, *verdicts), call(outbound)) == expected
    assert "".join(done) == made


def test_no_step_is_begun_late(outbound: Outbound) -> None:
    """After ten seconds the rest is left to another attempt, at once."""
    done: list[str] = []
    ticks = iter([0.0, 1.0, 11.0])

    verdict = in_order(steps(done, Sent(), Sent()), call(outbound), clock=lambda: next(ticks))

    assert isinstance(verdict, Retry)
    assert (verdict.after, verdict.reason) == (0.0, Reason.DEADLINE)
    assert done == ["a"]


def test_another_attempt_makes_only_the_rest(outbound: Outbound) -> None:
    """Steps of the same delivery that were taken are not made again."""
    done: list[str] = []
    memory = {"progress": f"delivery-1 {short('a')}", "kept": "yes"}

    verdict = in_order(steps(done, Sent(), Sent()), call(outbound, memory))

    assert verdict == Sent("", {"kept": "yes"})
    assert done == ["b"]
