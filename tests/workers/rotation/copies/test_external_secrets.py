"""Copy `external_secrets`, against a fake of the API that judges by the Role of the README."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.rotation.apiserver import ApiServer
from workers.document import parse
from workers.rotation.adapters import load
from workers.rotation.applications import Copy
from workers.rotation.copies import COPIES
from workers.rotation.errors import PermanentError, Reason, RefusedError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Slot
from workers.section import DocumentError

pytest.importorskip(
    "kubernetes", reason="kubernetes is not installed: pip install 'synap-hooks[kubernetes]'"
)

ROLE = Path(__file__).parent.parent / "policies" / "kubernetes-copy.yaml"
SECRET = "/api/v1/namespaces/prod/secrets/synap-api-key"
EXTERNAL = "/apis/external-secrets.io/{}/namespaces/prod/externalsecrets/synap-api-key"
PATH = EXTERNAL.format("v1")
ENTRY = "type: external_secrets, namespace: prod, external_secret: synap-api-key"


def configured(entry: str) -> Copy:
    """Return a copy as its entry in a configuration describes it."""
    section = parse(f"{{{entry}}}", file="hooks.yml", base=Path("/nowhere"))
    made: Copy | None = load(COPIES, section, "copy")
    section.findings.raise_if_any()
    assert made is not None
    return made


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Yield an API with an ExternalSecret and the Secret that the operator filled."""
    server = ApiServer()
    server.put(PATH, {"spec": {"refreshInterval": "1h"}})
    server.put(SECRET, {"data": {"SYNAP_API_KEY": base64.b64encode(b"synap_old").decode()}})
    server.token("ours", ROLE)
    yield server
    server.close()


@pytest.fixture
def copy(server: ApiServer, tmp_path: Path) -> Copy:
    """Return the copy under the Role of the README."""
    return configured(f"{ENTRY}, kubeconfig: {server.kubeconfig(tmp_path, 'ours')}")


def mark(server: ApiServer, path: str = PATH) -> Any:
    """Return what the ExternalSecret is marked with."""
    return server.objects[path]["metadata"].get("annotations", {}).get("force-sync")


def test_it_reads_the_secret(server: ApiServer, copy: Copy) -> None:
    """What applications get, with the Secret's version; nothing while there is none."""
    version = server.objects[SECRET]["metadata"]["resourceVersion"]

    assert copy.read() == Slot(Secret("synap_old"), version)
    del server.objects[SECRET]
    assert copy.read() is None


def test_it_marks_the_external_secret(server: ApiServer, copy: Copy) -> None:
    """The operator looks at its store when the annotation changes; other fields stay."""
    server.change(PATH, {"metadata": {"annotations": {"team": "agents"}}})

    copy.ask("rot-1-0")

    found = server.objects[PATH]
    assert found["metadata"]["annotations"] == {"team": "agents", "force-sync": "rot-1-0"}
    assert found["spec"] == {"refreshInterval": "1h"}


def test_the_same_mark_again_changes_nothing(server: ApiServer, copy: Copy) -> None:
    """A worker that was killed after it leaves no second request."""
    copy.ask("rot-1-0")
    version = server.objects[PATH]["metadata"]["resourceVersion"]

    copy.ask("rot-1-0")

    assert server.objects[PATH]["metadata"]["resourceVersion"] == version
    assert [method for method, _ in server.calls].count("PATCH") == 1


def test_one_that_is_made_once_never_follows(server: ApiServer, copy: Copy) -> None:
    """That is named, and nothing is changed."""
    server.change(PATH, {"spec": {"refreshPolicy": "CreatedOnce"}})

    with pytest.raises(RefusedError) as caught:
        copy.ask("rot-1-0")

    assert caught.value.reason == Reason.UNSYNCED
    assert mark(server) is None


def test_an_older_api(server: ApiServer, tmp_path: Path) -> None:
    """The version of the operator's API can be named, and so can the field."""
    old = EXTERNAL.format("v1beta1")
    server.put(old, {"spec": {}})
    config = server.kubeconfig(tmp_path, "ours")
    copy = configured(f"{ENTRY}, api_version: v1beta1, field: OTHER, kubeconfig: {config}")

    copy.ask("rot-1-0")

    assert mark(server, old) == "rot-1-0"
    assert copy.read() is None
    assert copy.name == "external_secrets:prod/synap-api-key#OTHER"


def test_what_the_role_does_not_allow(server: ApiServer, tmp_path: Path) -> None:
    """Another Secret is not read, another ExternalSecret not marked."""
    config = server.kubeconfig(tmp_path, "ours")
    server.put(SECRET.replace("synap-api-key", "other"), {})
    server.put(PATH.replace("synap-api-key", "other"), {})
    copy = configured(
        f"type: external_secrets, namespace: prod, external_secret: other, kubeconfig: {config}"
    )

    for call in (copy.read, lambda: copy.ask("rot-1-0")):
        with pytest.raises(PermanentError) as caught:
            call()
        assert caught.value.reason == Reason.DENIED


def test_the_configuration_is_strict() -> None:
    """What is missing or malformed is named with its line."""
    with pytest.raises(DocumentError) as caught:
        configured("type: external_secrets, api_version: v2")

    assert sorted(caught.value.problems) == [
        'hooks.yml:1: field "api_version" must be one of v1, v1beta1',
        'hooks.yml:1: field "external_secret" is missing: the name of the ExternalSecret',
        'hooks.yml:1: field "namespace" is missing',
    ]
