"""What the objects of a release say of each other, and of the application, is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from receiver.broker import QUEUE_OF
from receiver.settings import ReceiverSettings, load, variables
from tests.helm.chart import (
    CASES,
    CHART,
    WORKLOADS,
    Object,
    containers,
    environment,
    merged,
    named,
    of_kind,
    pod_labels,
    pod_spec,
    render,
)
from workers.cli.root import cli
from workers.settings import WorkerSettings
from workers.supervisor import PLACEHOLDERS

RECEIVER: Final = set(variables(ReceiverSettings))
WORKERS: Final = set(variables(WorkerSettings))
NOT_OURS: Final = {"RQ_KEY_PREFIX", "VALKEY_PASSWORD", "TARGET", "TZ"}
"""RQ's own variable, the trial server's password, the test pod's target, an extraEnv."""

BY_FILE: Final = {"SYNAP_WEBHOOK_SECRET"}
"""The chart mounts signing keys as files, which are reloaded without a restart."""


def services_of(workload: Object) -> list[Object]:
    """Return the pods' own containers: the application's, not those that come first."""
    found: list[Object] = pod_spec(workload)["containers"]
    return found


def selectors(objects: list[Object]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every selector of pods, with the object that has it."""
    for found in objects:
        spec, kind = found.get("spec", {}), found["kind"]
        name = f"{kind}/{found['metadata']['name']}"
        if kind == "Service":
            yield name, spec["selector"]
        elif kind in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            yield name, spec["selector"]["matchLabels"]
        elif kind == "NetworkPolicy":
            yield name, spec["podSelector"]["matchLabels"]
        elif kind == "PodMonitor":
            yield name, spec["selector"]["matchLabels"]


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_their_pods(case: str) -> None:
    """Each selector matches some workload's pods; all but the PodMonitor's match exactly one."""
    objects = render(case)
    pods = [pod_labels(found) for found in of_kind(objects, *WORKLOADS)]

    for name, selector in selectors(objects):
        matching = [labels for labels in pods if selector.items() <= labels.items()]
        assert matching, name
        assert len(matching) == 1 or name.startswith("PodMonitor/"), name


def test_monitors_see_all_and_nothing_else() -> None:
    """The ServiceMonitor finds one Service; the PodMonitor all workers and nothing else."""
    objects = render("monitoring")
    (service_monitor,) = of_kind(objects, "ServiceMonitor")
    (pod_monitor,) = of_kind(objects, "PodMonitor")

    wanted = service_monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = (
        one for one in of_kind(objects, "Service") if wanted <= one["metadata"]["labels"].items()
    )
    (left_out,) = pod_monitor["spec"]["selector"]["matchExpressions"]
    seen = {
        labels["app.kubernetes.io/component"]
        for labels in map(pod_labels, of_kind(objects, *WORKLOADS))
        if labels["app.kubernetes.io/component"] not in left_out["values"]
    }

    assert [port["name"] for port in service["spec"]["ports"]] == ["admin"]
    assert seen == {f"worker-{name}" for name in values_of_deployments("monitoring")}


def values_of_deployments(case: str) -> set[str]:
    """Return the names of the worker deployments that a case renders."""
    ending = re.compile(r"-worker-(.+)$")
    found = (ending.search(one["metadata"]["name"]) for one in of_kind(render(case), "Deployment"))
    return {match[1] for match in found if match}


@pytest.mark.parametrize("case", CASES)
def test_ports_by_name_exist(case: str) -> None:
    """Probes, Services and NetworkPolicies name ports that their containers have."""
    objects = render(case)
    pods = [(pod_labels(one), one) for one in of_kind(objects, *WORKLOADS)]

    for _, workload in pods:
        for container in containers(workload):
            ports = {port["name"] for port in container.get("ports", [])}
            probes = [container[name] for name in container if name.endswith("Probe")]
            actions = [probe.get("httpGet") or probe["tcpSocket"] for probe in probes]
            assert {action["port"] for action in actions} <= ports
    for name, selector in selectors(objects):
        if not name.startswith(("Service/", "NetworkPolicy/")):
            continue
        (workload,) = (one for labels, one in pods if selector.items() <= labels.items())
        ports = {port["name"] for one in services_of(workload) for port in one.get("ports", [])}
        assert set(asked_ports(next(one for one in objects if is_named(one, name)))) <= ports


def is_named(found: Object, name: str) -> bool:
    """Say whether an object goes by kind/name."""
    return f"{found['kind']}/{found['metadata']['name']}" == name


def asked_ports(found: Object) -> Iterator[str]:
    """Yield the ports that a Service or the way into a NetworkPolicy names."""
    if found["kind"] == "Service":
        yield from (port["targetPort"] for port in found["spec"]["ports"])
    for rule in found["spec"].get("ingress", []):
        yield from (port["port"] for port in rule["ports"])


@pytest.mark.parametrize("case", CASES)
def test_references_within_a_release_exist(case: str) -> None:
    """Scalers, routes, accounts and volumes name what the release makes or what the user gave."""
    objects = render(case)
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}

    for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        assert ("Deployment", one["spec"]["scaleTargetRef"]["name"]) in made
    for one in of_kind(objects, "HTTPRoute"):
        assert ("Service", one["spec"]["rules"][0]["backendRefs"][0]["name"]) in made
    for one in of_kind(objects, "Ingress"):
        for rule in one["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            assert ("Service", backend["name"]) in made
    for workload in of_kind(objects, *WORKLOADS):
        spec = pod_spec(workload)
        account = spec.get("serviceAccountName", "default")
        assert account in {"default", "shared"} or ("ServiceAccount", account) in made
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        volumes |= {one["metadata"]["name"] for one in claims(workload)}
        mounted = {mount["name"] for one in containers(workload) for mount in one["volumeMounts"]}
        assert mounted == volumes
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made


def claims(workload: Object) -> list[Object]:
    """Return the volume claims that a StatefulSet makes."""
    found: list[Object] = workload["spec"].get("volumeClaimTemplates", [])
    return found


@pytest.mark.parametrize("case", CASES)
def test_variables_are_known(case: str) -> None:
    """Each environment variable in the objects is one that the process there reads, given once."""
    for workload in of_kind(render(case), "Deployment", "Pod"):
        read = RECEIVER if workload["metadata"]["name"].endswith("-receiver") else WORKERS
        read = RECEIVER | WORKERS if workload["kind"] == "Pod" else read
        for container in containers(workload):
            names = [variable["name"] for variable in container.get("env") or []]
            assert set(names) - NOT_OURS <= read
            assert len(names) == len(set(names))


def test_every_variable_can_be_set() -> None:
    """Each variable that a process reads appears in its Deployment when all values are set."""
    objects = render("settings")
    receiver = environment(services_of(named(objects, "Deployment", "-receiver"))[0])
    workers = [
        environment(services_of(one)[0])
        for one in of_kind(objects, "Deployment")
        if "-worker-" in one["metadata"]["name"]
    ]

    assert RECEIVER - BY_FILE - set(receiver) == set()
    for found in workers:
        assert WORKERS - set(found) == set()


@pytest.mark.parametrize("case", CASES)
def test_the_application_takes_the_variables(case: str, tmp_path: Any) -> None:
    """The application's own settings load from what each Deployment gives."""
    keys = tmp_path / "default"
    keys.mkdir()
    (keys / "2026-11").write_text("0123456789abcdef0123456789abcdef")
    stands_for = {
        "SYNAP_REDIS_URL": "redis://127.0.0.1:6379/0",
        "SYNAP_TICK_REDIS_URL": "redis://tick@127.0.0.1:6379/0",
        "SLACK_WEBHOOK_URL": "https://slack.example.com/x",
    }

    for workload in of_kind(render(case), "Deployment"):
        given = {
            name: value if isinstance(value, str) else stands_for.get(name, "given")
            for name, value in environment(services_of(workload)[0]).items()
        }
        if "SYNAP_WEBHOOK_SECRET_DIR" in given:
            given["SYNAP_WEBHOOK_SECRET_DIR"] = str(tmp_path)
            assert load(ReceiverSettings, given)
        else:
            assert load(WorkerSettings, given)


def test_every_queue_is_served_once() -> None:
    """By default each queue has one Deployment, and one process there."""
    given = [
        environment(services_of(one)[0])["SYNAP_WORKERS"]
        for one in of_kind(render("minimal"), "Deployment")
        if "-worker-" in one["metadata"]["name"]
    ]

    assert sorted(given) == ["events-bulk=1", "events=1", "notifications=1", "rotation=1"]


def test_roles_may_share_a_deployment() -> None:
    """One Deployment may serve every queue, with as many processes as it is told."""
    objects = render("one-worker")

    found = environment(services_of(named(objects, "Deployment", "-worker-all"))[0])

    assert len(of_kind(objects, "Deployment")) == 2
    assert found["SYNAP_WORKERS"] == "events=1,events-bulk=2,notifications=1,rotation=1"


def test_scaler_knows_which_types_a_queue_has() -> None:
    """KEDA asks for the oldest event among the types that land on the deployment's queues."""
    changes = {"workers": {"defaults": {"keda": {"enabled": True}}}}
    objects = render(merged("keda", changes))

    for queue in ("events", "events-bulk"):
        triggers = named(objects, "ScaledObject", f"-worker-{queue}")["spec"]["triggers"]
        (age,) = (one for one in triggers if one["name"] == "oldest-age")
        match = re.search(r'type=~"([^"]+)"', age["metadata"]["query"])
        assert match
        assert set(match[1].split("|")) == {kind for kind in QUEUE_OF if QUEUE_OF[kind] == queue}


def test_keda_wins_over_the_plain_autoscaler() -> None:
    """No Deployment has two autoscalers, and none that has one fixes its replicas."""
    changes = {"workers": {"defaults": {"autoscaling": {"enabled": True}}}}
    objects = render(merged("keda", changes))
    scaled = [
        one["spec"]["scaleTargetRef"]["name"]
        for one in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")
    ]

    fixed = {
        one["metadata"]["name"]
        for one in of_kind(objects, "Deployment")
        if "replicas" in one["spec"]
    }

    assert len(scaled) == len(set(scaled)) == 4
    assert fixed.isdisjoint(scaled)


def test_stand_ins_are_the_supervisors() -> None:
    """What stands for a withheld secret is what the supervisor itself puts in its place."""
    helper = (CHART / "templates" / "workers" / "_secrets.tpl").read_text()
    used = set(re.findall(r'standIn" "(\w+)"', helper))

    assert used == set(PLACEHOLDERS)
    assert set(PLACEHOLDERS.values()) == {"withheld", "https://withheld.invalid/"}
    assert environment(
        next(containers(named(render("config"), "Deployment", "-worker-events")))
    ) == {name: PLACEHOLDERS[name] for name in used}


def test_commands_exist() -> None:
    """Each `synap-hooks` command in the templates is one that there is."""
    texts = [path.read_text() for path in (CHART / "templates").rglob("*.yaml")]
    used = {
        found[1]
        for text in texts
        for found in re.finditer(r"synap-hooks,? ([a-z][a-z-]+)[, ]", text)
    }

    assert used >= {"check-config", "send", "events"}
    assert used <= set(cli.commands)
