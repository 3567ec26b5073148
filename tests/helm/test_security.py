"""What a release may do is as little as it needs."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.helm.chart import (
    CASES,
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
from workers.rights import Role
from workers.settings import WorkerSettings

UNPRIVILEGED: Final = 10_000
LAST_REQUESTS: Final = 30
PROCESSES_END: Final = 10
ROLES: Final = ("events", "events-bulk", "notifications", "rotation")


def worker(case: str, role: str) -> Object:
    """Return a role's Deployment."""
    return named(render(case), "Deployment", f"-worker-{role}")


def secrets_of(workload: Object) -> set[str]:
    """Return the Secrets that a workload's pods can read, by environment or volume."""
    spec = pod_spec(workload)
    by_value = {
        value[0]
        for container in containers(workload)
        for value in environment(container).values()
        if isinstance(value, tuple)
    }
    volumes = spec.get("volumes", [])
    return by_value | {one["secret"]["secretName"] for one in volumes if "secret" in one}


@pytest.mark.parametrize("case", CASES)
def test_pods_are_restricted(case: str) -> None:
    """Each pod meets the restricted level, writes nowhere but on volumes, has no Service links."""
    for workload in of_kind(render(case), *WORKLOADS):
        spec = pod_spec(workload)
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] >= UNPRIVILEGED
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("case", CASES)
def test_tokens_are_mounted_only_where_needed(case: str) -> None:
    """No pod has a token of the API but the rotation's, and only when it was given rights."""
    objects = render(case)
    with_rights = {
        subject["name"] for one in of_kind(objects, "RoleBinding") for subject in one["subjects"]
    }

    for workload in of_kind(objects, *WORKLOADS):
        spec = pod_spec(workload)
        asked = spec["automountServiceAccountToken"]
        assert asked == (spec.get("serviceAccountName") in with_rights)
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_rights_are_limited_by_name() -> None:
    """What rotation may read or change is named, one object at a time; only lists are not."""
    rules = [rule for role in of_kind(render("rotation"), "Role") for rule in role["rules"]]

    for rule in rules:
        assert "resourceNames" in rule or rule["verbs"] == ["list"]
        assert set(rule["verbs"]) <= {"get", "patch", "list"}
        assert "*" not in rule["resources"]
    assert not any("secrets" in rule["resources"] and "list" in rule["verbs"] for rule in rules)


def test_each_role_has_its_own_account() -> None:
    """No two Deployments share a ServiceAccount."""
    accounts = [
        pod_spec(one)["serviceAccountName"] for one in of_kind(render("minimal"), "Deployment")
    ]

    assert len(accounts) == len(set(accounts)) == 1 + len(ROLES)


def test_receiver_sees_no_credential_but_its_own() -> None:
    """The process that talks to strangers has signing keys and Redis, whatever else is set."""
    everything = merged("config", {"rotation": {"kubernetes": [{"namespace": "agents"}]}})

    found = secrets_of(named(render(everything), "Deployment", "-receiver"))

    assert found == {"synap-signing-keys", "synap-redis"}


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        pytest.param("events", {"synap-redis", "synap-api"}, id="events"),
        pytest.param("events-bulk", {"synap-redis", "synap-api"}, id="events-bulk"),
        pytest.param("notifications", {"synap-redis", "on-call", "chat"}, id="notifications"),
        pytest.param("rotation", {"synap-redis", "synap-api"}, id="rotation"),
    ],
)
def test_each_role_sees_its_own_secrets(role: str, expected: set[str]) -> None:
    """Targets' secrets are for notifications, Synap's API key is for who asks it."""
    assert secrets_of(worker("config", role)) == expected


def test_store_credentials_are_for_rotation_alone() -> None:
    """Only the deployment that rotates mounts the stores' credentials."""
    holders = {
        role for role in ROLES if "store-credentials" in secrets_of(worker("rotation", role))
    }

    assert holders == {"rotation"}


def test_each_role_may_have_its_own_redis_user() -> None:
    """Each Deployment takes its URL from the Secret of its own role."""
    objects = render("acl-users")
    urls = {
        one["metadata"]["name"].removeprefix("demo-synap-webhook-receiver-"): environment(
            pod_spec(one)["containers"][0]
        )["SYNAP_REDIS_URL"]
        for one in of_kind(objects, "Deployment")
    }

    assert urls == {
        "receiver": ("synap-redis", "receiver"),
        **{f"worker-{role}": ("synap-redis", role) for role in ROLES},
    }
    for role in ROLES:
        found = environment(pod_spec(worker("acl-users", role))["containers"][0])
        assert found["SYNAP_TICK_REDIS_URL"] == ("synap-redis", "tick")
    assert environment(pod_spec(named(objects, "Pod", "-test"))["containers"][0])[
        "SYNAP_REDIS_URL"
    ] == ("synap-redis", "operator")


def test_redis_users_are_those_that_the_command_makes() -> None:
    """Each key of the Secret that the example refers to is a role of `synap-hooks acl urls`."""
    used = {
        key
        for one in of_kind(render("acl-users"), "Deployment", "Pod")
        for variable in environment(pod_spec(one)["containers"][0]).values()
        if isinstance(variable, tuple)
        for secret, key in [variable]
        if secret == "synap-redis"
    }

    assert used == set(Role) - {Role.WORKERS}


@pytest.mark.parametrize("case", [case for case in CASES if case != "extras"])
def test_each_component_has_its_own_network_policy(case: str) -> None:
    """Each workload has a NetworkPolicy of its name that rules both ways."""
    objects = render(case)
    policies = {one["metadata"]["name"]: one for one in of_kind(objects, "NetworkPolicy")}

    for workload in of_kind(objects, *WORKLOADS):
        policy = policies[workload["metadata"]["name"]]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def reaches(objects: list[Object], ending: str) -> set[int]:
    """Return the ports that a component may reach."""
    rules = named(objects, "NetworkPolicy", ending)["spec"].get("egress", [])
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_networks_are_as_narrow_as_the_role() -> None:
    """The receiver reaches names and Redis; a role that tells or asks nobody no more."""
    plain, full = render("minimal"), render("rotation")

    assert reaches(plain, "-receiver") == reaches(full, "-receiver") == {53, 6379}
    assert reaches(plain, "-worker-events") == {53, 6379}
    assert reaches(full, "-worker-events") == {53, 6379, 443}
    assert reaches(plain, "-worker-notifications") == {53, 6379, 443}
    assert reaches(full, "-worker-rotation") == {53, 6379, 443, 6443, 8200}
    assert reaches(render("valkey"), "-valkey") == set()
    assert reaches(render("tls"), "-receiver") == {53, 6380}
    assert reaches(render("sentinel"), "-receiver") == {53, 26379, 6379}
    assert reaches(render("network"), "-worker-notifications") == {53, 6379, 443, 587}


def test_the_test_pod_is_let_in() -> None:
    """Whoever else may deliver, the pod of `helm test` reaches the receiver, and it alone."""
    objects = render("network")
    (way_in, _) = named(objects, "NetworkPolicy", "-receiver")["spec"]["ingress"]
    labels = pod_labels(named(objects, "Pod", "-test"))
    let_in = [
        peer["podSelector"]["matchLabels"] for peer in way_in["from"] if "podSelector" in peer
    ]

    assert [one for one in let_in if one.items() <= labels.items()] == let_in != []
    assert reaches(objects, "-test") == {53, 6379, 8080}


def test_rollouts_drop_nothing() -> None:
    """A pod goes only when another is ready, and is given longer than it needs to end."""
    changes: dict[str, Any] = {
        "receiver": {"preStopSeconds": 20, "shutdownDelaySeconds": 40},
        "workers": {"gracePeriodSeconds": 300},
    }
    for given in ("minimal", merged("minimal", changes)):
        objects = render(given)
        for one in of_kind(objects, "Deployment"):
            container = pod_spec(one)["containers"][0]
            found = environment(container)
            grace = pod_spec(one)["terminationGracePeriodSeconds"]
            assert one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
            assert "readinessProbe" in container
            if one["metadata"]["name"].endswith("-receiver"):
                wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
                assert grace > wait + int(found["SYNAP_SHUTDOWN_DELAY"]) + LAST_REQUESTS
            else:
                assert grace > int(found["SYNAP_GRACE_PERIOD"]) + PROCESSES_END


def test_default_grace_is_longer_than_the_longest_job() -> None:
    """By default workers are given longer than the application's own default grace."""
    found = environment(pod_spec(worker("minimal", "events"))["containers"][0])

    assert float(found["SYNAP_GRACE_PERIOD"]) >= WorkerSettings().grace_period


def test_configuration_is_checked_first() -> None:
    """With a configuration each worker checks it before it starts, without any secret."""
    for role in ROLES:
        (first,) = pod_spec(worker("config", role))["initContainers"]
        assert first["command"][:2] == ["synap-hooks", "check-config"]
        assert all(isinstance(value, str) for value in environment(first).values())
        annotations = worker("config", role)["spec"]["template"]["metadata"]["annotations"]
        assert "checksum/config" in annotations
