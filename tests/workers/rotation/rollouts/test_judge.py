"""How far a workload's rollout is: `kubectl rollout status`, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from workers.rotation.rollouts.judge import Phase, obstacle, rollout, wants_pods


def deployment(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return a Deployment of three whose rollout is over, but for what is given."""
    over = {
        "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
    }  # fmt: skip
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 3, **(spec or {})},
        "status": {**over, **status},
    }


def stateful(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return a StatefulSet of three whose rollout is over, as the API server fills it."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    over = {
        "observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3,
        "currentRevision": "web-2", "updateRevision": "web-2",
    }  # fmt: skip
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 3, "updateStrategy": strategy, **(spec or {})},
        "status": {**over, **status},
    }


def daemon(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return a DaemonSet on three nodes whose rollout is over."""
    over = {
        "observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3,
        "numberAvailable": 3,
    }  # fmt: skip
    return {
        "metadata": {"generation": 2},
        "spec": {"updateStrategy": {"type": "RollingUpdate"}, **(spec or {})},
        "status": {**over, **status},
    }


LATE = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
FINE = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
ASLEEP = {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0, "readyReplicas": 0}
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}
PARTITION = {
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
}

DEPLOYMENTS = [
    pytest.param(deployment(), Phase.COMPLETE, id="over"),
    pytest.param(deployment(conditions=FINE), Phase.COMPLETE, id="over-with-conditions"),
    pytest.param(deployment(observedGeneration=1), Phase.WAITING, id="not-observed"),
    pytest.param(deployment(observedGeneration=3), Phase.COMPLETE, id="observed-later"),
    pytest.param(deployment(observedGeneration=None), Phase.WAITING, id="no-status-yet"),
    pytest.param(
        deployment(observedGeneration=1, conditions=LATE), Phase.WAITING, id="failure-of-before"
    ),
    pytest.param(deployment(conditions=LATE), Phase.FAILED, id="deadline"),
    pytest.param(
        deployment(updatedReplicas=1, conditions=LATE), Phase.FAILED, id="deadline-halfway"
    ),
    pytest.param(deployment(updatedReplicas=1), Phase.WAITING, id="halfway"),
    pytest.param(deployment(updatedReplicas=None), Phase.WAITING, id="none-updated"),
    pytest.param(deployment(replicas=4), Phase.WAITING, id="old-pods-left"),
    pytest.param(deployment(availableReplicas=2), Phase.WAITING, id="not-available"),
    pytest.param(deployment({"paused": True}), Phase.PAUSED, id="paused"),
    pytest.param(deployment({"replicas": 0}, **ASLEEP), Phase.ASLEEP, id="zero"),
    pytest.param(
        deployment({"replicas": 0}, **{**ASLEEP, "replicas": 1}), Phase.WAITING, id="zero-soon"
    ),
    pytest.param(
        deployment({"replicas": None}, replicas=1, updatedReplicas=1, availableReplicas=1),
        Phase.COMPLETE,
        id="default-of-one",
    ),
]

STATEFUL_SETS = [
    pytest.param(stateful(), Phase.COMPLETE, id="over"),
    pytest.param(stateful(observedGeneration=1), Phase.WAITING, id="not-observed"),
    pytest.param(stateful(observedGeneration=0), Phase.WAITING, id="never-observed"),
    pytest.param(stateful(readyReplicas=2), Phase.WAITING, id="not-ready"),
    pytest.param(stateful(updatedReplicas=2), Phase.WAITING, id="halfway"),
    pytest.param(stateful(updateRevision="web-3"), Phase.WAITING, id="revision"),
    pytest.param(stateful(ON_DELETE), Phase.UNSUPPORTED, id="on-delete"),
    pytest.param(stateful(PARTITION, updatedReplicas=2), Phase.UNSUPPORTED, id="partition"),
    pytest.param(stateful({"replicas": 0}, **ASLEEP), Phase.ASLEEP, id="zero"),
]

DAEMON_SETS = [
    pytest.param(daemon(), Phase.COMPLETE, id="over"),
    pytest.param(daemon(observedGeneration=1), Phase.WAITING, id="not-observed"),
    pytest.param(daemon(updatedNumberScheduled=1), Phase.WAITING, id="halfway"),
    pytest.param(daemon(numberAvailable=2), Phase.WAITING, id="not-available"),
    pytest.param(daemon(ON_DELETE), Phase.UNSUPPORTED, id="on-delete"),
    pytest.param(
        daemon(desiredNumberScheduled=0, updatedNumberScheduled=0, numberAvailable=0),
        Phase.ASLEEP,
        id="no-node",
    ),
]


@pytest.mark.parametrize(("running", "phase"), DEPLOYMENTS)
def test_deployment(running: dict[str, Any], phase: Phase) -> None:
    """As kubectl judges a Deployment."""
    assert rollout("Deployment", running).phase is phase


@pytest.mark.parametrize(("running", "phase"), STATEFUL_SETS)
def test_stateful_set(running: dict[str, Any], phase: Phase) -> None:
    """As kubectl judges a StatefulSet, but a part that stays as it is counts as a refusal."""
    assert rollout("StatefulSet", running).phase is phase


@pytest.mark.parametrize(("running", "phase"), DAEMON_SETS)
def test_daemon_set(running: dict[str, Any], phase: Phase) -> None:
    """As kubectl judges a DaemonSet."""
    assert rollout("DaemonSet", running).phase is phase


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_an_object_without_anything(kind: str) -> None:
    """What the API server has not filled yet is waited for."""
    assert rollout(kind, {"metadata": {}, "spec": {}}).phase is Phase.WAITING


def test_the_detail_counts() -> None:
    """People read how many of how many."""
    assert rollout("Deployment", deployment(updatedReplicas=1)).detail == (
        "1 of 3 new pods are updated"
    )


def test_what_stands_in_the_way_is_seen_before_a_restart() -> None:
    """A restart that would not replace every pod is refused before it begins."""
    assert obstacle("Deployment", deployment()) is None
    assert obstacle("StatefulSet", stateful()) is None
    assert obstacle("DaemonSet", daemon(ON_DELETE)) is not None


def test_who_wants_pods() -> None:
    """A canary without pods shows nothing."""
    assert wants_pods("Deployment", deployment())
    assert wants_pods("DaemonSet", daemon())
    assert not wants_pods("StatefulSet", stateful({"replicas": 0}))
