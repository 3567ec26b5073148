"""The tree, as tables."""

from __future__ import annotations

import pytest

from tests.workers.alerting.house import config_of
from workers.alerting.matchers import Matcher
from workers.alerting.route import Options, Route, Router, Spec, build
from workers.alerting.syntax import parse

TREE = """
route:
  receiver: notify-def
  group_wait: 30s
  routes:
    - match: {owner: team-A}
      receiver: notify-A
      routes:
        - match: {env: testing}
          receiver: notify-testing
          group_by: ['...']
        - match: {env: production}
          receiver: notify-productionA
          group_wait: 1m
          continue: true
        - match_re: {env: 'produ.*', job: '.*'}
          receiver: notify-productionB
          group_wait: 0s
          group_interval: 1m
          group_by: [job]
    - match_re: {owner: 'team-(B|C)'}
      receiver: notify-BC
      group_by: [foo, bar]
      group_wait: 1m
receivers:
  - {name: notify-def}
  - {name: notify-A}
  - {name: notify-testing}
  - {name: notify-productionA}
  - {name: notify-productionB}
  - {name: notify-BC}
"""


def tree(text: str = TREE) -> Route:
    """Return the tree of an `alerting` section."""
    return config_of(text).route


def leaf(path: str, root: Route) -> Route:
    """Return the node at `0/2`: the third child of the first child."""
    for place in path.split("/") if path else ():
        root = root.routes[int(place)]
    return root


def matchers(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a text."""
    return parse(text).matchers


def test_defaults_of_the_root() -> None:
    """B1: group_wait 30 s, group_interval 5 m, repeat_interval 4 h, nothing grouped by."""
    assert build(Spec(receiver="x")).options == Options(
        receiver="x",
        group_by=frozenset(),
        group_by_all=False,
        group_wait=30.0,
        group_interval=300.0,
        repeat_interval=14_400.0,
        labels={},
    )


def test_a_child_overrides_what_it_names() -> None:
    """B2: a child starts from its parent's options; 0 is a value and labels merge."""
    root = build(
        Spec(
            receiver="top",
            group_wait=10.0,
            repeat_interval=60.0,
            labels={"a": "1", "b": "1"},
            routes=(Spec(group_wait=0.0, labels={"b": "2"}, routes=(Spec(receiver="deep"),)),),
        )
    )

    assert leaf("0", root).options == Options(
        receiver="top", group_wait=0.0, repeat_interval=60.0, labels={"a": "1", "b": "2"}
    )
    assert leaf("0/0", root).options == leaf("0", root).options._replace(receiver="deep")
    assert root.options.labels == {"a": "1", "b": "1"}


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        pytest.param(Spec(), (frozenset("ab"), False), id="absent-inherits"),
        pytest.param(Spec(group_by=("c",)), (frozenset("c"), False), id="list-replaces"),
        pytest.param(Spec(group_by_all=True), (frozenset("ab"), True), id="all-keeps-the-set"),
        pytest.param(Spec(group_by=()), (frozenset(), False), id="empty-list-empties"),
    ],
)
def test_group_by_of_a_child(child: Spec, expected: tuple[frozenset[str], bool]) -> None:
    """B3: a list replaces, `...` takes all, an empty list empties, absence inherits."""
    options = leaf("0", build(Spec(group_by=("a", "b"), routes=(child,)))).options

    assert (options.group_by, options.group_by_all) == expected


def test_a_list_ends_an_inherited_wildcard() -> None:
    """B3: a list, even an empty one, switches the parent's `...` off; absence does not."""
    root = build(Spec(group_by_all=True, routes=(Spec(group_by=()), Spec(), Spec(group_by=("a",)))))

    assert [child.options.group_by_all for child in root.routes] == [False, True, False]


def test_time_intervals_are_not_inherited() -> None:
    """B4: mute and active time intervals hold for their own route alone."""
    root = build(
        Spec(
            routes=(
                Spec(mute_time_intervals=("m",), active_time_intervals=("a",), routes=(Spec(),)),
            )
        )
    )

    assert leaf("0", root).mute_time_intervals == ("m",)
    assert leaf("0/0", root).mute_time_intervals == ()
    assert leaf("0/0", root).active_time_intervals == ()


def test_the_matchers_of_a_node() -> None:
    """B5: match, match_re and matchers together, sorted."""
    root = tree("""
route:
  receiver: r
  routes:
    - matchers: [z!=1, 'b=~"x|y"']
      match: {b: '2'}
      match_re: {a: 'x|y'}
receivers: [{name: r}]
""")

    assert leaf("0", root).key == '{}/{a=~"^(?:x|y)$",b="2",b=~"x|y",z!="1"}'


def test_children_are_numbered_before_their_parent() -> None:
    """B6: idx is post-order."""
    root = tree()
    places = {"": 5, "0": 3, "0/0": 0, "0/1": 1, "0/2": 2, "1": 4}

    assert {place: leaf(place, root).idx for place in places} == places


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        pytest.param({"owner": "team-A"}, ["notify-A"], id="no-child-takes-it"),
        pytest.param({"owner": "team-A", "env": "unset"}, ["notify-A"], id="nor-here"),
        pytest.param({"owner": "team-C"}, ["notify-BC"], id="regex"),
        pytest.param({"owner": "team-A", "env": "testing"}, ["notify-testing"], id="child"),
        pytest.param(
            {"owner": "team-A", "env": "production"},
            ["notify-productionA", "notify-productionB"],
            id="continue",
        ),
        pytest.param({"owner": "other"}, ["notify-def"], id="root"),
        pytest.param({}, ["notify-def"], id="no-labels"),
    ],
)
def test_matching(labels: dict[str, str], receivers: list[str]) -> None:
    """B7: the first child that takes it wins, `continue` goes on, the node itself is the last."""
    root = tree()

    assert [route.options.receiver for route in root.match(labels)] == receivers
    assert [route.options.receiver for route in Router(root).routes(labels)] == receivers


def test_continue_concerns_siblings_that_follow_a_match() -> None:
    """B7: `continue` without a match means nothing, and never leaves its own subtree."""
    root = tree("""
route:
  receiver: top
  routes:
    - matchers: [never=here]
      receiver: one
      continue: true
    - matchers: [a=x]
      receiver: two
      routes:
        - receiver: inner
          continue: true
    - receiver: three
receivers: [{name: top}, {name: one}, {name: two}, {name: three}, {name: inner}]
""")

    assert [route.options.receiver for route in root.match({"a": "x"})] == ["inner"]
    assert [route.options.receiver for route in root.match({"a": "y"})] == ["three"]


def test_keys_repeat_but_ids_and_slots_do_not() -> None:
    """B10: the key speaks of matchers alone; the id adds each child's place."""
    root = tree("""
route:
  receiver: r
  routes:
    - {matchers: [a=b], continue: true}
    - {matchers: [a=b], routes: [{matchers: [c=d]}]}
receivers: [{name: r}]
""")
    first, second = root.routes

    assert first.key == second.key == '{}/{a="b"}'
    assert [first.id, second.id] == ['{}/{a="b"}/0', '{}/{a="b"}/1']
    assert second.routes[0].id == '{}/{a="b"}/1/{c="d"}/0'
    assert len({route.slot for route in root.walk()}) == 4


def test_a_slot_outlives_a_change_elsewhere_in_the_tree() -> None:
    """Routes that come or go before a route do not change what is stored of its groups."""
    kept = Spec(matchers=())
    before = build(Spec(routes=(Spec(matchers=matchers("a=b")), kept)))
    after = build(
        Spec(
            routes=(
                Spec(matchers=matchers("x=y")),
                Spec(matchers=matchers("a=b")),
                kept,
            )
        )
    )

    assert [route.slot for route in before.routes] == [route.slot for route in after.routes[1:]]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(Spec(group_by=("a", "zz")), {"a": "1"}, id="absent-from-the-alert"),
        pytest.param(Spec(group_by_all=True), {"a": "1", "b": "2"}, id="all"),
        pytest.param(Spec(), {}, id="none"),
    ],
)
def test_group_labels(spec: Spec, expected: dict[str, str]) -> None:
    """B13: the labels grouped by that the alert has, or all."""
    assert build(spec).group_labels({"a": "1", "b": "2"}) == expected


def test_the_group_key() -> None:
    """B15: the route's key, a colon, the group's labels."""
    root = tree("""
route:
  receiver: r
  routes: [{matchers: [team=mem], group_by: [alertname, b]}]
receivers: [{name: r}]
""")
    route = root.routes[0]

    assert (
        route.group_key(route.group_labels({"b": 'x"', "alertname": "ingestion_failed"}))
        == '{}/{team="mem"}:{alertname="ingestion_failed", b="x\\""}'
    )


def test_the_memory_of_a_router_is_bounded() -> None:
    """Any number of label values leaves a bounded memory and right answers."""
    router = Router(tree())

    reached = {router.routes({"owner": f"team-{i}"})[0].options.receiver for i in range(20_500)}

    assert reached == {"notify-def"}
    assert len(router._memory) <= 20_000
