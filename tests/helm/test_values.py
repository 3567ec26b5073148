"""values.yaml, its schema, the README and what is shown after an installation say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from helm_python.errors import HelmError

from tests.helm import readme
from tests.helm.chart import CASES, CHART, files, merged, notes, render, values

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a schema knows, where its reference leads."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = schema.get("properties", {})
    return found


def unlike(schema: dict[str, Any], given: Any, path: str = "") -> list[str]:
    """Return the keys that are in the schema alone or in the values alone."""
    known = properties(schema)
    if not isinstance(given, dict) or not known:
        return []
    wrong = [f"{path}{name}" for name in known.keys() ^ given.keys()]
    return wrong + [
        key
        for name in known.keys() & given.keys()
        for key in unlike(known[name], given[name], f"{path}{name}.")
    ]


def test_schema_and_values_have_the_same_keys() -> None:
    """The schema knows exactly the keys of values.yaml, and what a parent chart may set."""
    assert unlike(SCHEMA, DEFAULTS) == ["global"]


def test_every_value_has_a_comment() -> None:
    """Each value, or the map that it stands in, has a comment."""
    explained = {value.path for value in readme.documented()}

    bare = [
        path
        for path in readme.leaves(DEFAULTS)
        if not any(path == one or path.startswith(f"{one}.") for one in explained)
    ]

    assert [path for path in bare if not path.startswith("workers.deployments.")] == []


def test_readme_has_the_values() -> None:
    """The README's table is what values.yaml says."""
    _, within, _ = readme.split()

    assert within == readme.table()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"reciever": {}}, id="misspelled at the top"),
        pytest.param({"receiver": {"replica": 3}}, id="misspelled below"),
        pytest.param({"workers": {"deployments": {"events": {"queue": {}}}}}, id="in a worker"),
        pytest.param(
            {"workers": {"deployments": {"events": {"queues": {"event": 1}}}}}, id="no such queue"
        ),
        pytest.param({"workers": {"deployments": {"Big_Name": {}}}}, id="no name for a worker"),
        pytest.param({"settings": {"ack": "disk"}}, id="no such level"),
        pytest.param({"settings": {"commitTimeout": "5 minutes"}}, id="no duration"),
        pytest.param({"receiver": {"settings": {"maxBodyBytes": "1MB"}}}, id="no size"),
        pytest.param({"receiver": {"service": {"port": 0}}}, id="no port"),
        pytest.param({"receiver": {"replicas": "2"}}, id="a number as text"),
        pytest.param({"redis": {"url": "http://redis"}}, id="no URL of Redis"),
        pytest.param(
            {"redis": {"url": "redis://:secret@redis:6379/0"}}, id="a password in a value"
        ),
        pytest.param({"redis": {"existingSecret": "Not A Name"}}, id="no name of a Secret"),
        pytest.param({"rotation": {"kubernetes": [{"secrets": ["a"]}]}}, id="no namespace"),
        pytest.param(
            {"receiver": {"signingKeys": {"endpoints": {"a/b": "x"}}}}, id="no endpoint's name"
        ),
        pytest.param({"image": {"digest": "sha256:abc"}}, id="no digest"),
    ],
)
def test_schema_refuses(changes: dict[str, Any]) -> None:
    """What is misspelled or of the wrong kind is refused before anything is rendered."""
    with pytest.raises(HelmError, match="schema"):
        files(merged("minimal", changes))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"global": {"anything": True}}, id="a parent chart's globals"),
        pytest.param({"config": "alerting: {}"}, id="a configuration as text"),
        pytest.param({"workers": {"settings": {"maxAttempts": 7}}}, id="a number"),
        pytest.param({"workers": {"settings": {"lease": 45}}}, id="a duration in seconds"),
        pytest.param({"podSecurityContext": {"supplementalGroups": [7]}}, id="more of a context"),
        pytest.param({"workers": {"deployments": {"more": {"queues": {"events": 2}}}}}, id="more"),
        pytest.param({"redis": {"url": "redis://redis:6379/0"}}, id="a URL"),
    ],
)
def test_schema_accepts(changes: dict[str, Any]) -> None:
    """What works is accepted."""
    assert render(merged("minimal", changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"redis": {"existingSecret": ""}}, "no Redis: set redis", id="redis"),
        pytest.param(
            {"receiver": {"signingKeys": {"existingSecret": ""}}}, "no signing key: set", id="keys"
        ),
        pytest.param(
            {"workers": {"deployments": {"idle": {}}}}, "idle serves no queue", id="queues"
        ),
        pytest.param({"receiver": {"ingress": {"enabled": True}}}, "hosts is empty", id="ingress"),
        pytest.param(
            {"receiver": {"httpRoute": {"enabled": True}}}, "parentRefs is empty", id="route"
        ),
        pytest.param(
            {"workers": {"defaults": {"keda": {"enabled": True}}}}, "prometheusUrl", id="keda"
        ),
        pytest.param(
            {"externalSecrets": {"enabled": True}}, "secretStoreRef.name is empty", id="store"
        ),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], said: str) -> None:
    """What cannot work is refused with the value to set."""
    with pytest.raises(HelmError, match=said):
        files(merged("minimal", changes))


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        pytest.param({}, "no target is set", id="targets"),
        pytest.param({}, "nothing leads from outside", id="way in"),
        pytest.param({}, "push the image", id="image"),
        pytest.param(
            {"workers": {"deployments": {"rotation": {"enabled": False}}}},
            "no deployment serves the queue rotation",
            id="queue",
        ),
        pytest.param(
            {"receiver": {"ingress": {"enabled": True, "hosts": ["a.example.com"]}}},
            "the Ingress has no TLS",
            id="tls",
        ),
        pytest.param({"targets": {"files": ["chat"]}}, "targets.files is mounted", id="files"),
        pytest.param(
            {"workers": {"deployments": {"events": {"redis": {"existingSecret": "own"}}}}},
            "workers.tickRedis is empty",
            id="tick",
        ),
        pytest.param({"valkey": {"enabled": True}}, "which is used", id="two servers"),
        pytest.param(
            {"valkey": {"enabled": True}, "redis": {"existingSecret": ""}},
            "Not for production",
            id="valkey",
        ),
        pytest.param({"settings": {"ack": "memory"}}, "settings.ack is memory", id="ack"),
        pytest.param({"settings": {"ack": "replica"}}, "not on its disk", id="replica"),
        pytest.param(
            {"redis": {"url": "redis+sentinel://a:26379,b:26379/hooks"}},
            "redis.url names Sentinels",
            id="sentinels",
        ),
        pytest.param(
            {"monitoring": {"prometheusRule": {"enabled": True}}}, "enable both", id="labels"
        ),
        pytest.param(
            {"monitoring": {"prometheusRule": {"enabled": True}}},
            "alerts link to no runbook",
            id="runbook",
        ),
        pytest.param(
            {"externalSecrets": {"enabled": True, "secretStoreRef": {"name": "vault"}}},
            "names no Secret",
            id="external",
        ),
        pytest.param(
            {
                "rotation": {"kubernetes": [{"namespace": "agents"}]},
                "workers": {"deployments": {"rotation": {"enabled": False}}},
            },
            "no rights were given",
            id="rights",
        ),
    ],
)
def test_notes_warn(changes: dict[str, Any], warned: str) -> None:
    """What was asked for and is not set is said after the installation."""
    lines = [
        line
        for line in notes(merged("minimal", changes)).splitlines()
        if line.startswith("WARNING")
    ]

    assert any(warned in line for line in lines)


def test_notes_say_what_comes_next() -> None:
    """The next command stands there; an installation that lacks nothing has no warning."""
    whole = merged(
        "ingress",
        {
            "targets": {"slack": {"existingSecret": "on-call"}},
            "image": {"repository": "registry.example.com/synap-hooks"},
        },
    )

    said = notes(whole)

    assert "helm test demo --namespace hooks" in said
    assert "WARNING" not in said


@pytest.mark.parametrize("case", CASES)
def test_cases_are_small(case: str) -> None:
    """Each case of `ci/` shows one switch: it has few lines, and all of it is in the schema."""
    text = (CHART / "ci" / f"{case}-values.yaml").read_text()

    assert len(text.splitlines()) <= 45
    assert values(case)
