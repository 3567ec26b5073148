"""Why an alert goes where it goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.alerting.matchers import Matcher, Op
from workers.alerting.route import Spec, build
from workers.alerting.trace import trace

NAMES = st.sampled_from("ab")
VALUES = st.sampled_from(["", "1", "2"])
MATCHERS = st.lists(
    st.builds(Matcher, NAMES, st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]), VALUES), max_size=2
)


def specs(depth: int) -> st.SearchStrategy[Spec]:
    """Return any tree of routes, so many levels deep."""
    below = st.just(()) if depth == 0 else st.lists(specs(depth - 1), max_size=3).map(tuple)
    return st.builds(
        Spec, matchers=MATCHERS.map(tuple), goes_on=st.booleans(), receiver=NAMES, routes=below
    )


@given(root=specs(3), labels=st.dictionaries(NAMES, VALUES))
def test_the_trace_reaches_what_matching_reaches(root: Spec, labels: dict[str, str]) -> None:
    """Whatever the tree, the routes that are said to be reached are those that match, in order."""
    tree = build(root)

    steps = trace(tree, labels)

    assert [step.route for step in steps if step.reached] == tree.match(labels)
    assert all(step.why for step in steps)
