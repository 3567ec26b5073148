"""Rollout `kubernetes`: Deployments, StatefulSets and DaemonSets, restarted as kubectl does it.

A restart sets two annotations of the pod template: `kubectl.kubernetes.io/restartedAt`, fixed for
the whole rotation, and `synap.dev/rotation`. The same again changes nothing, so a repeat makes no
new ReplicaSet. The second one also stands on the workload itself: a deployment that replaces the
template afterwards has started its pods after us, and is not restarted once more.

A wave is out when its rollouts are complete and no pod of it is left without the annotation.

Least privilege: get, list and patch on the three kinds, list on pods, in the one namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from workers.rotation.cluster import STRATEGIC, Api, Cluster, read_cluster
from workers.rotation.errors import PermanentError, Reason, RefusedError
from workers.rotation.ports import Phase, Progress, Stamp
from workers.rotation.rollouts import judge
from workers.section import Section

RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
ROTATION: Final = "synap.dev/rotation"
AT_ONCE: Final = 3

KINDS: Final[Mapping[str, str]] = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
}
"""The kinds that can be rolled, and how the API names their collections."""

_KIND_OF: Final = {kind.lower(): kind for kind in KINDS}
_ENDED: Final = frozenset({"Succeeded", "Failed"})


class Workload(NamedTuple):
    """A workload of the namespace, written `deployment/web`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class Kubernetes:
    """Rolls what is named and what a label selects: one canary, then so many at once."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        workloads: Sequence[Workload],
        selector: str,
        canary: Workload | None,
        at_once: int,
    ) -> None:
        self._cluster = cluster
        self._workloads = workloads
        self._selector = selector
        self._canary = canary
        self._at_once = at_once
        self._base = f"/apis/apps/v1/namespaces/{cluster.namespace}"

    def waves(self) -> Sequence[tuple[str, ...]]:
        """Return the canary alone, then the others in groups.

        Raises:
            PermanentError: a workload that is named does not exist, or nothing is selected.
            RefusedError: a restart would leave some of its pods as they are.
        """
        found = {workload: self._get(workload) for workload in self._workloads}
        for workload, running in self._select():
            found.setdefault(workload, running)
        if not found:
            raise PermanentError(Reason.NOT_FOUND, f"{self._name}: nothing is selected")
        for workload, running in found.items():
            objection = judge.obstacle(workload.kind, running)
            if objection and objection.phase is judge.Phase.UNSUPPORTED:
                raise RefusedError(Reason.ROLLOUT_HELD, f"{workload}: {objection.detail}")
        first = self._first(found)
        others = [str(workload) for workload in found if workload != first]
        groups = range(0, len(others), self._at_once)
        return ((str(first),), *(tuple(others[at : at + self._at_once]) for at in groups))

    def status(self, wave: tuple[str, ...], stamp: Stamp) -> Progress:
        """Return how far the wave is: as far as its last workload."""
        found = {name: self._judged(_workload(name), stamp) for name in wave}
        later = tuple(name for name, one in found.items() if one.phase is judge.Phase.ASLEEP)
        for ours, theirs in _WORST:
            worst = [f"{name}: {one.detail}" for name, one in found.items() if one.phase in theirs]
            if worst:
                return Progress(ours, "; ".join(worst), later)
        return Progress(Phase.DONE, "every pod is new", later)

    def start(self, wave: tuple[str, ...], stamp: Stamp) -> None:
        """Restart what does not have this stamp yet; nothing at all if one of it is paused."""
        running = {workload: self._get(workload) for workload in map(_workload, wave)}
        for workload, found in running.items():
            objection = judge.obstacle(workload.kind, found)
            if objection:
                raise RefusedError(Reason.ROLLOUT_HELD, f"{workload}: {objection.detail}")
        for workload, found in running.items():
            if _stamped(found) != stamp.rotation:
                self._api.patch(self._path(workload), restarted(stamp), STRATEGIC)

    @property
    def _name(self) -> str:
        return f"kubernetes:{self._cluster.namespace}"

    @cached_property
    def _api(self) -> Api:
        return self._cluster.connect(self._name)

    def _path(self, workload: Workload) -> str:
        return f"{self._base}/{KINDS[workload.kind]}/{workload.name}"

    def _get(self, workload: Workload) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._api.get(self._path(workload))
        except PermanentError as error:
            if error.reason != Reason.NOT_FOUND:
                raise
            said = f"{self._name}: there is no {workload}"
            raise PermanentError(Reason.NOT_FOUND, said) from None
        return found

    def _select(self) -> Iterator[tuple[Workload, dict[str, Any]]]:
        """Yield what the label selects, kind by kind; lists do not repeat the kind."""
        if not self._selector:
            return
        for kind, collection in KINDS.items():
            query = {"labelSelector": self._selector}
            for found in self._api.get(f"{self._base}/{collection}", query).get("items") or ():
                yield Workload(kind, found["metadata"]["name"]), found

    def _first(self, found: Mapping[Workload, dict[str, Any]]) -> Workload:
        """Return the canary: the one that is named, else the first that has pods to show it."""
        if self._canary:
            if self._canary not in found:
                raise PermanentError(
                    Reason.NOT_FOUND, f"{self._name}: canary {self._canary} is not selected"
                )
            return self._canary
        awake = (one for one in found if judge.wants_pods(one.kind, found[one]))
        return next(awake, next(iter(found)))

    def _judged(self, workload: Workload, stamp: Stamp) -> judge.Judgement:
        running = self._get(workload)
        if _stamped(running) != stamp.rotation:
            objection = judge.obstacle(workload.kind, running)
            return objection or judge.Judgement(judge.Phase.UNTOUCHED, "not restarted yet")
        found = judge.rollout(workload.kind, running)
        if found.phase is judge.Phase.COMPLETE and _template(running) == stamp.rotation:
            old = self._old_pods(running, stamp)
            if old:
                said = f"{len(old)} old pods are left: {', '.join(old)}"
                return judge.Judgement(judge.Phase.WAITING, said)
        return found

    def _old_pods(self, running: Mapping[str, Any], stamp: Stamp) -> list[str]:
        """Return the workload's pods that were not made by this restart and still run."""
        labels = running["spec"].get("selector", {}).get("matchLabels") or {}
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        if not selector:
            return []
        path = f"/api/v1/namespaces/{self._cluster.namespace}/pods"
        pods = self._api.get(path, {"labelSelector": selector}).get("items") or ()
        return [
            pod["metadata"]["name"]
            for pod in pods
            if _annotation(pod["metadata"]) != stamp.rotation
            and (pod.get("status") or {}).get("phase") not in _ENDED
        ]


_WORST: Final = (
    (Phase.FAILED, frozenset({judge.Phase.FAILED})),
    (Phase.HELD, frozenset({judge.Phase.PAUSED, judge.Phase.UNSUPPORTED})),
    (Phase.ABSENT, frozenset({judge.Phase.UNTOUCHED})),
    (Phase.RUNNING, frozenset({judge.Phase.WAITING})),
)
"""What a wave is when one of its workloads is so, worst first."""


def restarted(stamp: Stamp) -> dict[str, Any]:
    """Return the patch of a restart; the same stamp always gives the same one."""
    at = datetime.fromtimestamp(stamp.at, UTC).isoformat(timespec="seconds")
    marks = {RESTARTED: at.replace("+00:00", "Z"), ROTATION: stamp.rotation}
    return {
        "metadata": {"annotations": {ROTATION: stamp.rotation}},
        "spec": {"template": {"metadata": {"annotations": marks}}},
    }


def _stamped(running: Mapping[str, Any]) -> str:
    """Return the rotation that restarted this workload last."""
    return _annotation(running["metadata"])


def _template(running: Mapping[str, Any]) -> str:
    return _annotation(running["spec"].get("template", {}).get("metadata") or {})


def _annotation(metadata: Mapping[str, Any]) -> str:
    return str((metadata.get("annotations") or {}).get(ROTATION, ""))


def _workload(text: str) -> Workload:
    kind, _, name = text.partition("/")
    return Workload(_KIND_OF[kind], name)


def read(section: Section) -> Kubernetes:
    """Read the entry of type `kubernetes`."""
    named = section.texts("workloads") or []
    workloads = [_read_workload(text.value, text.line, section) for text in named]
    selector, canary = section.text("selector"), section.text("canary")
    if not named and not selector:
        section.problem('one of "workloads" and "selector" is needed: what reads the key')
    first = _read_workload(canary, section.line_of("canary"), section) if canary else None
    return Kubernetes(
        read_cluster(section),
        workloads=[workload for workload in workloads if workload],
        selector=selector,
        canary=first,
        at_once=section.integer("at_once", AT_ONCE, least=1),
    )


def _read_workload(text: str, line: int, section: Section) -> Workload | None:
    kind, _, name = text.partition("/")
    if kind.lower() not in _KIND_OF or not name:
        section.findings.problem(line, f'"{text}" is no workload: write deployment/web')
        return None
    return Workload(_KIND_OF[kind.lower()], name)
