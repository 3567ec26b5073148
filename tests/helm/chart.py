"""The chart as the tests see it: rendered by Helm's own code, taken apart into objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml
from helm_python.chart import Chart, values_from_yaml

from tests.servers import ROOT

CHART: Final = ROOT / "helm" / "synap-webhook-receiver"
CASES: Final = sorted(path.stem.removesuffix("-values") for path in CHART.glob("ci/*-values.yaml"))
NAMESPACE: Final = "hooks"
WORKLOADS: Final = ("Deployment", "StatefulSet", "Pod")

Object = dict[str, Any]


def values(case: str) -> dict[str, Any]:
    """Return the values of `ci/<case>-values.yaml`, read as Helm reads them."""
    return values_from_yaml((CHART / "ci" / f"{case}-values.yaml").read_text())


def files(
    given: Mapping[str, Any], *, release: str = "demo", namespace: str = NAMESPACE
) -> dict[str, str]:
    """Return what each template renders to.

    Raises:
        helm_python.errors.HelmError: the values are refused, or a template fails.
    """
    with Chart.load(CHART) as chart:
        return chart.render(dict(given), name=release, namespace=namespace)


def render(
    case: str | Mapping[str, Any], *, release: str = "demo", namespace: str = NAMESPACE
) -> list[Object]:
    """Return the objects of a case, or of values."""
    given = values(case) if isinstance(case, str) else case
    return [
        found
        for path, text in files(given, release=release, namespace=namespace).items()
        if not path.endswith("NOTES.txt")
        for found in yaml.safe_load_all(text)
        if found
    ]


def notes(case: str | Mapping[str, Any]) -> str:
    """Return what is shown after an installation."""
    given = values(case) if isinstance(case, str) else case
    rendered = files(given)
    return next(text for path, text in rendered.items() if path.endswith("NOTES.txt"))


def merged(case: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a case with changes at top-level keys, merged as deep as they go."""
    return _merge(values(case), changes)


def of_kind(objects: Sequence[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [found for found in objects if found["kind"] in kinds]


def named(objects: Sequence[Object], kind: str, ending: str) -> Object:
    """Return the one object of a kind whose name ends so."""
    (found,) = (
        thing for thing in of_kind(objects, kind) if thing["metadata"]["name"].endswith(ending)
    )
    return found


def identity(found: Object) -> tuple[str, str, str]:
    """Return what must be unique in a cluster: kind, namespace and name."""
    return found["kind"], found["metadata"]["namespace"], found["metadata"]["name"]


def pod_spec(workload: Object) -> dict[str, Any]:
    """Return the pod of a workload."""
    spec: dict[str, Any] = workload["spec"]
    return spec if workload["kind"] == "Pod" else spec["template"]["spec"]


def pod_labels(workload: Object) -> dict[str, str]:
    """Return the labels of a workload's pods."""
    pod = workload if workload["kind"] == "Pod" else workload["spec"]["template"]
    labels: dict[str, str] = pod["metadata"]["labels"]
    return labels


def containers(workload: Object) -> Iterator[dict[str, Any]]:
    """Yield every container of a workload, those that come first as well."""
    spec = pod_spec(workload)
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def environment(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container's variables: a value, or the (Secret, key) that it comes from."""
    found: dict[str, Any] = {}
    for variable in container.get("env") or []:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        found[variable["name"]] = (
            (reference["name"], reference["key"]) if reference else variable["value"]
        )
    return found


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for name, change in changes.items():
        old = both.get(name)
        deep = isinstance(old, dict) and isinstance(change, dict)
        both[name] = _merge(old, change) if deep else change
    return both
