"""How far a Kubernetes workload's rollout is, judged as `kubectl rollout status` judges it.

Pure: the object as the API server returned it, as JSON, in; a verdict out. Where kubectl calls a
rollout complete although some pods were left as they were (`OnDelete`, a partition), this module
refuses: a pod that was not restarted holds the old key.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

_DEADLINE: Final = "ProgressDeadlineExceeded"


class Phase(StrEnum):
    """How a workload's rollout stands."""

    COMPLETE = "complete"
    WAITING = "waiting"
    FAILED = "failed"
    PAUSED = "paused"
    ASLEEP = "asleep"
    UNSUPPORTED = "unsupported"
    UNTOUCHED = "untouched"


class Judgement(NamedTuple):
    """The verdict and, in a few words, why."""

    phase: Phase
    detail: str


def rollout(kind: str, workload: Mapping[str, Any]) -> Judgement:
    """Say how the rollout of a Deployment, StatefulSet or DaemonSet stands.

    `ASLEEP` means that it wants no pods: its next ones will start with what is current then.
    """
    objection = obstacle(kind, workload)
    if objection is not None:
        return objection
    if not _observed(workload):
        return Judgement(Phase.WAITING, "the new template is not observed yet")
    found = _JUDGES[kind](workload)
    return found or _asleep(kind, workload) or Judgement(Phase.COMPLETE, "every pod is new")


def obstacle(kind: str, workload: Mapping[str, Any]) -> Judgement | None:
    """Return why restarting this workload would not replace all its pods; None if it would."""
    spec = _part(workload, "spec")
    if spec.get("paused"):
        return Judgement(Phase.PAUSED, "the rollout is paused (spec.paused)")
    if kind == "Deployment":
        return None
    strategy = _part(spec, "updateStrategy")
    name = strategy.get("type") or "RollingUpdate"
    if name != "RollingUpdate":
        return Judgement(Phase.UNSUPPORTED, f"its update strategy is {name}: pods stay as they are")
    if _count(_part(strategy, "rollingUpdate"), "partition"):
        return Judgement(Phase.UNSUPPORTED, "a partition keeps some of its pods as they are")
    return None


def wants_pods(kind: str, workload: Mapping[str, Any]) -> bool:
    """Say whether any pod of it should run now."""
    if kind == "DaemonSet":
        return _count(_part(workload, "status"), "desiredNumberScheduled") > 0
    return _replicas(workload) > 0


def _deployment(workload: Mapping[str, Any]) -> Judgement | None:
    status = _part(workload, "status")
    if any(
        condition.get("type") == "Progressing" and condition.get("reason") == _DEADLINE
        for condition in status.get("conditions") or ()
    ):
        return Judgement(Phase.FAILED, "it exceeded its progress deadline")
    wanted, updated = _replicas(workload), _count(status, "updatedReplicas")
    if updated < wanted:
        return _waiting(f"{updated} of {wanted} new pods are updated")
    if (total := _count(status, "replicas")) > updated:
        return _waiting(f"{total - updated} old pods are pending termination")
    if (available := _count(status, "availableReplicas")) < updated:
        return _waiting(f"{available} of {updated} updated pods are available")
    return None


def _stateful_set(workload: Mapping[str, Any]) -> Judgement | None:
    status = _part(workload, "status")
    wanted = _replicas(workload)
    if (ready := _count(status, "readyReplicas")) < wanted:
        return _waiting(f"{ready} of {wanted} pods are ready")
    if (updated := _count(status, "updatedReplicas")) < wanted:
        return _waiting(f"{updated} of {wanted} pods are updated")
    if status.get("updateRevision") != status.get("currentRevision"):
        return _waiting("pods of the former revision are left")
    return None


def _daemon_set(workload: Mapping[str, Any]) -> Judgement | None:
    status = _part(workload, "status")
    wanted = _count(status, "desiredNumberScheduled")
    if (updated := _count(status, "updatedNumberScheduled")) < wanted:
        return _waiting(f"{updated} of {wanted} new pods are updated")
    if (available := _count(status, "numberAvailable")) < wanted:
        return _waiting(f"{available} of {wanted} updated pods are available")
    return None


_JUDGES: Final = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
}


def _asleep(kind: str, workload: Mapping[str, Any]) -> Judgement | None:
    if wants_pods(kind, workload):
        return None
    return Judgement(Phase.ASLEEP, "it wants no pods: the next ones start with what is current")


def _observed(workload: Mapping[str, Any]) -> bool:
    seen = _count(_part(workload, "status"), "observedGeneration")
    return seen > 0 and seen >= _count(_part(workload, "metadata"), "generation")


def _replicas(workload: Mapping[str, Any]) -> int:
    """Return the pods that are wanted; the API server's default is one."""
    found = _part(workload, "spec").get("replicas")
    return 1 if found is None else int(found)


def _waiting(detail: str) -> Judgement:
    return Judgement(Phase.WAITING, detail)


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping.get(name) or {}


def _count(mapping: Mapping[str, Any], name: str) -> int:
    return int(mapping.get(name) or 0)
