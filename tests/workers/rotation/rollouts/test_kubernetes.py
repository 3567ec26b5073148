"""Rollout `kubernetes`, against a fake of the API that judges by the Role of the README."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.rotation.apiserver import ApiServer
from tests.workers.rotation.rollouts.namespace import BACK, PODS, STAMP, Namespace, configured
from workers.rotation.errors import PermanentError, Reason, RefusedError, TransientError
from workers.rotation.ports import Phase, Rollout
from workers.section import DocumentError

pytest.importorskip(
    "kubernetes", reason="kubernetes is not installed: pip install 'synap-hooks[kubernetes]'"
)


@pytest.fixture
def prod(tmp_path: Path) -> Iterator[Namespace]:
    """Yield an empty namespace."""
    server = ApiServer()
    yield Namespace(server, tmp_path)
    server.close()


WEB = ("deployment/web",)


@pytest.fixture
def web(prod: Namespace) -> Rollout:
    """Return a rollout of one Deployment with two pods."""
    prod.add("deployment/web", replicas=2)
    return prod.rollout("workloads: [deployment/web]")


def test_waves_by_name_and_by_label(prod: Namespace) -> None:
    """One canary, then groups; what is named and also selected is restarted once."""
    for name in ("deployment/a", "deployment/b", "statefulset/c", "daemonset/d", "deployment/e"):
        prod.add(name)
    prod.server.change(prod.path("deployment/e"), {"metadata": {"labels": {"uses": "other"}}})

    found = prod.rollout("workloads: [statefulset/c], selector: uses=synap, at_once: 2").waves()

    assert found == (("statefulset/c",), ("deployment/a", "deployment/b"), ("daemonset/d",))


def test_the_canary_has_pods(prod: Namespace) -> None:
    """A workload that wants none shows nothing, so another goes first."""
    prod.add("deployment/asleep", replicas=0)
    prod.add("deployment/awake")

    assert prod.rollout("selector: uses=synap").waves() == (
        ("deployment/awake",),
        ("deployment/asleep",),
    )


def test_the_canary_may_be_named(prod: Namespace) -> None:
    """The operator knows best; one that is not selected is refused."""
    prod.add("deployment/a")
    prod.add("deployment/b")

    named = prod.rollout("selector: uses=synap, canary: deployment/b")
    wrong = prod.rollout("selector: uses=synap, canary: deployment/c")

    assert named.waves()[0] == ("deployment/b",)
    with pytest.raises(PermanentError) as caught:
        wrong.waves()
    assert caught.value.reason == Reason.NOT_FOUND


@pytest.mark.parametrize("entry", ["workloads: [deployment/none]", "selector: uses=none"])
def test_nothing_to_restart(prod: Namespace, entry: str) -> None:
    """A name or a label that meets nothing is a mistake, not an empty rollout."""
    prod.add("deployment/a")

    with pytest.raises(PermanentError) as caught:
        prod.rollout(entry).waves()

    assert caught.value.reason == Reason.NOT_FOUND


def test_a_restart_from_begin_to_end(prod: Namespace, web: Rollout) -> None:
    """Absent, running, done."""
    seen = [web.status(WEB, STAMP).phase]
    web.start(WEB, STAMP)
    seen.append(web.status(WEB, STAMP).phase)
    prod.roll("deployment/web")
    seen.append(web.status(WEB, STAMP).phase)

    assert seen == [Phase.ABSENT, Phase.RUNNING, Phase.DONE]
    annotations = prod.server.objects[prod.path("deployment/web")]["spec"]["template"]["metadata"]
    assert annotations["annotations"] == {
        "kubectl.kubernetes.io/restartedAt": "2027-01-15T08:00:00Z",
        "synap.dev/rotation": "rot-7f3a",
    }


def test_a_repeat_restarts_nothing(prod: Namespace, web: Rollout) -> None:
    """The same stamp never makes a second ReplicaSet, whoever repeats it."""
    web.start(WEB, STAMP)
    generation = prod.generation("deployment/web")
    prod.server.calls.clear()

    web.start(WEB, STAMP)
    prod.rollout("workloads: [deployment/web]").start(WEB, STAMP)

    assert prod.generation("deployment/web") == generation == 2
    assert {method for method, _ in prod.server.calls} == {"GET"}


def test_a_wave_that_was_killed_half_way(prod: Namespace) -> None:
    """What was not restarted yet is still absent, and the repeat restarts that alone."""
    prod.add("deployment/a")
    prod.add("deployment/b")
    rollout = prod.rollout("selector: uses=synap")
    rollout.start(("deployment/a",), STAMP)

    between = rollout.status(("deployment/a", "deployment/b"), STAMP).phase
    rollout.start(("deployment/a", "deployment/b"), STAMP)

    assert between is Phase.ABSENT
    assert (prod.generation("deployment/a"), prod.generation("deployment/b")) == (2, 2)


def test_the_way_back_is_a_restart_of_its_own(prod: Namespace, web: Rollout) -> None:
    """Another stamp restarts once more."""
    web.start(WEB, STAMP)
    prod.roll("deployment/web")

    absent = web.status(WEB, BACK).phase
    web.start(WEB, BACK)
    prod.roll("deployment/web")

    assert absent is Phase.ABSENT
    assert web.status(WEB, BACK).phase is Phase.DONE
    assert prod.generation("deployment/web") == 3


def test_old_pods_that_still_run_are_waited_for(prod: Namespace, web: Rollout) -> None:
    """A pod that takes long to end still has the old key; one that ended does not."""
    web.start(WEB, STAMP)
    prod.roll("deployment/web", leaving=("web-1-0", "web-1-1"))
    prod.server.change(f"{PODS}/web-1-1", {"status": {"phase": "Succeeded"}})

    found = web.status(WEB, STAMP)

    assert (found.phase, found.detail) == (
        Phase.RUNNING,
        "deployment/web: 1 old pods are left: web-1-0",
    )


def test_a_template_that_was_replaced_since(prod: Namespace, web: Rollout) -> None:
    """Who deploys after us has started the pods after us: no second restart."""
    web.start(WEB, STAMP)
    path = prod.path("deployment/web")
    gone = dict.fromkeys(("synap.dev/rotation", "kubectl.kubernetes.io/restartedAt"))
    prod.server.change(path, {"spec": {"template": {"metadata": {"annotations": gone}}}})
    before = web.status(WEB, STAMP).phase
    prod.roll("deployment/web")

    assert before is Phase.RUNNING
    assert web.status(WEB, STAMP).phase is Phase.DONE


def test_what_is_held_while_it_rolls(prod: Namespace, web: Rollout) -> None:
    """Somebody pauses a workload in the middle of its rollout: a person looks."""
    web.start(WEB, STAMP)
    prod.server.change(prod.path("deployment/web"), {"spec": {"paused": True}})

    assert web.status(WEB, STAMP).phase is Phase.HELD


def test_failure(prod: Namespace, web: Rollout) -> None:
    """A rollout past its deadline has failed, and says which."""
    web.start(WEB, STAMP)
    late = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
    prod.server.change(
        prod.path("deployment/web"), {"status": {"observedGeneration": 2, "conditions": late}}
    )

    found = web.status(WEB, STAMP)

    assert (found.phase, found.detail) == (
        Phase.FAILED,
        "deployment/web: it exceeded its progress deadline",
    )


def test_a_paused_workload_holds_its_whole_wave(prod: Namespace) -> None:
    """Nothing of the wave is restarted while somebody has paused one of it."""
    prod.add("deployment/a")
    prod.add("deployment/b", paused=True)
    rollout = prod.rollout("selector: uses=synap")
    wave = ("deployment/a", "deployment/b")

    held = rollout.status(wave, STAMP)
    with pytest.raises(RefusedError) as caught:
        rollout.start(wave, STAMP)

    assert (held.phase, held.detail) == (
        Phase.HELD,
        "deployment/b: the rollout is paused (spec.paused)",
    )
    assert caught.value.reason == Reason.ROLLOUT_HELD
    assert prod.generation("deployment/a") == 1


def test_zero_replicas_are_done_and_told(prod: Namespace) -> None:
    """What runs no pod takes the new key at its next start."""
    prod.add("statefulset/asleep", replicas=0)
    rollout = prod.rollout("workloads: [statefulset/asleep]")
    rollout.start(("statefulset/asleep",), STAMP)
    prod.roll("statefulset/asleep")

    found = rollout.status(("statefulset/asleep",), STAMP)

    assert (found.phase, found.later) == (Phase.DONE, ("statefulset/asleep",))


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param({"type": "OnDelete"}, id="on-delete"),
        pytest.param({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, id="partition"),
    ],
)
def test_what_a_restart_would_not_reach_is_refused_at_once(
    prod: Namespace, strategy: dict[str, Any]
) -> None:
    """Pods that stay as they are keep the old key: no rotation is begun with them."""
    prod.add("statefulset/db", updateStrategy=strategy)

    with pytest.raises(RefusedError) as caught:
        prod.rollout("selector: uses=synap").waves()

    assert caught.value.reason == Reason.ROLLOUT_HELD


def test_daemon_sets_and_stateful_sets(prod: Namespace) -> None:
    """All three kinds are restarted alike and judged each in its way."""
    prod.add("statefulset/db", replicas=3)
    prod.add("daemonset/agent", replicas=2)
    rollout = prod.rollout("selector: uses=synap")
    wave = ("statefulset/db", "daemonset/agent")
    rollout.start(wave, STAMP)
    started = rollout.status(wave, STAMP).phase
    prod.roll("statefulset/db")
    prod.roll("daemonset/agent")

    assert started is Phase.RUNNING
    assert rollout.status(wave, STAMP).phase is Phase.DONE


def test_a_workload_that_is_gone(prod: Namespace, web: Rollout) -> None:
    """Somebody deleted it: a person looks."""
    web.start(WEB, STAMP)
    del prod.server.objects[prod.path("deployment/web")]

    with pytest.raises(PermanentError) as caught:
        web.status(WEB, STAMP)

    assert caught.value.reason == Reason.NOT_FOUND


def test_errors(prod: Namespace, web: Rollout) -> None:
    """A missing permission is permanent, a missing server is not."""
    prod.server.rules["ours"] = []
    with pytest.raises(PermanentError) as denied:
        web.status(WEB, STAMP)
    config = prod.server.kubeconfig(prod.folder, "ours", "http://127.0.0.1:1")
    entry = f"namespace: prod, kubeconfig: {config}, workloads: [deployment/web]"
    with pytest.raises(TransientError) as silent:
        configured(f"{{type: kubernetes, {entry}}}").waves()

    assert denied.value.reason == Reason.DENIED
    assert silent.value.reason == Reason.UNREACHABLE


def test_the_configuration_is_strict() -> None:
    """What is missing or malformed is named with its line."""
    with pytest.raises(DocumentError) as nothing:
        configured("{type: kubernetes, namespace: prod}")
    with pytest.raises(DocumentError) as wrong:
        configured("type: kubernetes\nnamespace: prod\nworkloads:\n- cronjob/x\n- deployment/\n")

    assert nothing.value.problems == [
        'hooks.yml:1: one of "workloads" and "selector" is needed: what reads the key'
    ]
    assert wrong.value.problems == [
        'hooks.yml:4: "cronjob/x" is no workload: write deployment/web',
        'hooks.yml:5: "deployment/" is no workload: write deployment/web',
    ]
