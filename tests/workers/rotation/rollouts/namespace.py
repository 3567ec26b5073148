"""A namespace of the fake API, for the tests of rollouts: workloads and their pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.workers.rotation.apiserver import ApiServer
from workers.document import parse
from workers.rotation.adapters import load
from workers.rotation.ports import Rollout, Stamp
from workers.rotation.rollouts import ROLLOUTS

ROLE = Path(__file__).parent.parent / "policies" / "kubernetes-rollout.yaml"
APPS = "/apis/apps/v1/namespaces/prod"
PODS = "/api/v1/namespaces/prod/pods"
STAMP = Stamp("rot-7f3a", 1_800_000_000.0, "6f0c9b0e-0000-5000-8000-000000000000")
BACK = STAMP._replace(rotation="rot-7f3a-rb")
COLLECTIONS = {
    "deployment": "deployments",
    "statefulset": "statefulsets",
    "daemonset": "daemonsets",
}


class Namespace:
    """A namespace of the fake; its methods are what controllers and people would do."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        server.token("ours", ROLE)

    def add(self, workload: str, *, replicas: int = 1, **spec: Any) -> None:
        """Create a workload whose pods run."""
        kind, _, name = workload.partition("/")
        labels = {"app": name}
        self.server.put(
            self.path(workload),
            {
                "metadata": {"labels": {"uses": "synap"}, "generation": 1},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}},
                    **(
                        {"updateStrategy": {"type": "RollingUpdate"}}
                        if kind != "deployment"
                        else {}
                    ),
                    **spec,
                },
                "status": {"desiredNumberScheduled": replicas},
            },
        )
        self.roll(workload)

    def roll(self, workload: str, *, leaving: tuple[str, ...] = ()) -> None:
        """Play the controller: replace every pod, some old ones still terminating."""
        running = self.server.objects[self.path(workload)]
        name, replicas = running["metadata"]["name"], running["spec"]["replicas"]
        template = running["spec"]["template"]["metadata"]
        for path in [path for path in self.server.objects if path.startswith(f"{PODS}/{name}-")]:
            if path.rpartition("/")[2] not in leaving:
                del self.server.objects[path]
        for number in range(replicas):
            made = f"{PODS}/{name}-{running['metadata']['generation']}-{number}"
            self.server.put(made, {"metadata": template, "status": {"phase": "Running"}})
        counts = (
            "replicas", "updatedReplicas", "availableReplicas", "readyReplicas",
            "updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled",
        )  # fmt: skip
        status = {**dict.fromkeys(counts, replicas), "conditions": []}
        status["observedGeneration"] = running["metadata"]["generation"]
        self.server.change(self.path(workload), {"status": status})

    def generation(self, workload: str) -> int:
        """Return how often the workload's spec changed."""
        found: int = self.server.objects[self.path(workload)]["metadata"]["generation"]
        return found

    def path(self, workload: str) -> str:
        """Return the path of a workload."""
        kind, _, name = workload.partition("/")
        return f"{APPS}/{COLLECTIONS[kind]}/{name}"

    def rollout(self, entry: str) -> Rollout:
        """Return a rollout under the Role of the README."""
        config = self.server.kubeconfig(self.folder, "ours")
        return configured(
            f"{{type: kubernetes, namespace: prod, kubeconfig: {config}, {entry}}}", self.folder
        )


def configured(entry: str, base: Path = Path("/nowhere")) -> Rollout:
    """Return a rollout as its entry in a configuration describes it."""
    section = parse(entry, file="hooks.yml", base=base)
    made: Rollout | None = load(ROLLOUTS, section, "rollout")
    section.findings.raise_if_any()
    assert made is not None
    return made
