"""Every object that the chart can make is one that Kubernetes takes."""

from __future__ import annotations

from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml
from helm_python.chart import Chart, lint

from tests.helm import crds
from tests.helm.chart import CASES, CHART, NAMESPACE, identity, of_kind, render, values

INFO: Final = 1
OLDEST: Final = "1.29"
NEWEST: Final = ".".join(kubernetes_validate.latest_version().split(".")[:2])
LONGEST: Final = "a-release-with-the-longest-name-that-anybody-could-ask-for-60"
NAME_ROOM: Final = 52
"""A StatefulSet's pods carry its name and 11 more characters in a label of at most 63."""


def is_custom(found: dict[str, Any]) -> bool:
    """Say whether an object is of a kind that Kubernetes itself does not know."""
    group = found["apiVersion"].rpartition("/")[0]
    return group.startswith("gateway.") or ("." in group and not group.endswith(".k8s.io"))


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(case: str) -> None:
    """`helm lint --strict` says no more than that the chart has no icon."""
    report = lint(CHART, values(case), strict=True, kube_version=f"v{OLDEST}.0")

    assert [said for said in report["messages"] if said["severity"] > INFO] == []
    assert report["errors"] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object(case: str, version: str) -> None:
    """Each object holds strictly against the schemas of the oldest and the newest version."""
    objects = [found for found in render(case) if not is_custom(found)]

    for found in objects:
        kubernetes_validate.validate(found, version, strict=True)

    assert objects


@pytest.mark.parametrize("case", CASES)
def test_custom_resources_hold_against_their_schemas(case: str) -> None:
    """Each custom resource has a schema of its own and holds against it."""
    for found in filter(is_custom, render(case)):
        jsonschema.validate(found, crds.schema(found["apiVersion"], found["kind"]))


def test_every_custom_resource_is_made_somewhere() -> None:
    """No schema is kept for what the chart does not make."""
    made = {
        (found["apiVersion"], found["kind"])
        for case in CASES
        for found in filter(is_custom, render(case))
    }

    assert made == set(crds.SPECS)


def test_oldest_version_is_what_the_chart_says() -> None:
    """The constraint of Chart.yaml names the version that the objects were held against."""
    with Chart.load(CHART) as chart:
        assert chart.metadata["kubeVersion"] == f">={OLDEST}.0-0"


def test_versions_of_chart_and_package_agree() -> None:
    """The image that the chart asks for is the release that lies beside it."""
    pyproject = (CHART.parents[1] / "pyproject.toml").read_text()

    with Chart.load(CHART) as chart:
        assert f'version = "{chart.metadata["appVersion"]}"' in pyproject


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_made_twice(case: str) -> None:
    """No two objects of a release have the same kind, namespace and name."""
    found = [identity(one) for one in render(case)]

    assert len(found) == len(set(found))


@pytest.mark.parametrize("case", [case for case in CASES if case != "external-secrets"])
def test_two_releases_collide_in_nothing(case: str) -> None:
    """Two releases in one namespace share no object."""
    first = {identity(one) for one in render(case, release="one")}
    second = {identity(one) for one in render(case, release="two")}

    assert not first & second


def test_two_namespaces_collide_in_nothing() -> None:
    """Releases of one name in two namespaces share nothing, not even in a third namespace."""
    first = {identity(one) for one in render("rotation", namespace="one")}
    second = {identity(one) for one in render("rotation", namespace="two")}

    assert not first & second


@pytest.mark.parametrize("case", CASES)
def test_long_release_names_fit(case: str) -> None:
    """With a release name of 60 characters every name and label is one that Kubernetes takes."""
    release = LONGEST[:60].rstrip("-")

    for found in render(case, release=release):
        name = found["metadata"]["name"]
        named_by_the_user = found["kind"] == "ExternalSecret" or name.startswith(f"{release}-")
        assert named_by_the_user or len(name) <= NAME_ROOM
        assert name == name.strip("-").lower()
        for value in found["metadata"]["labels"].values():
            assert len(value) <= 63


def test_shortened_names_stay_distinct() -> None:
    """Release names that differ only where they are cut still collide in nothing."""
    first = {identity(one) for one in render("monitoring", release="x" * 52 + "1")}
    second = {identity(one) for one in render("monitoring", release="x" * 52 + "2")}

    assert not first & second


def test_extra_manifests_know_the_release() -> None:
    """Further objects are rendered with the chart's values, whether YAML or text."""
    names = {one["metadata"]["name"] for one in render("extras") if one["kind"] == "ConfigMap"}

    assert names == {"demo-extra", "demo-second"}


def test_configuration_arrives_as_it_was_written() -> None:
    """The YAML file in the ConfigMap says what the values say, given as YAML or as text."""
    given = values("config")
    text = given | {"config": "# kept\nalerting: {}\n"}

    (as_yaml,) = (one for one in render(given) if one["kind"] == "ConfigMap")
    (as_text,) = (one for one in render(text) if one["kind"] == "ConfigMap")

    assert yaml.safe_load(as_yaml["data"]["config.yaml"]) == given["config"]
    assert as_text["data"]["config.yaml"].strip() == "# kept\nalerting: {}"
    assert as_yaml["metadata"]["namespace"] == NAMESPACE


def test_namespaces_are_named() -> None:
    """Each case has its release's namespace on every object, but for roles elsewhere."""
    asked = {entry["namespace"] for entry in values("rotation")["rotation"]["kubernetes"]}
    elsewhere = {
        one["metadata"]["namespace"] for one in of_kind(render("rotation"), "Role", "RoleBinding")
    }

    assert elsewhere == asked
