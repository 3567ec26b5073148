"""Witness `pods`: pods of a fake API that listen on 127.0.0.1, under the Role of the README."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import free_port
from tests.sink import Sink
from tests.workers.rotation.apiserver import ApiServer
from workers.document import parse
from workers.rotation.adapters import load
from workers.rotation.applications import Witness
from workers.rotation.errors import PermanentError, Reason, TransientError
from workers.rotation.fingerprint import Secret, shown
from workers.rotation.ports import Side
from workers.rotation.witnesses import WITNESSES, pods
from workers.rotation.witnesses.pods import judge
from workers.section import DocumentError

pytest.importorskip(
    "kubernetes", reason="kubernetes is not installed: pip install 'synap-hooks[kubernetes]'"
)

ROLE = Path(__file__).parent.parent / "policies" / "kubernetes-attestation.yaml"
PODS = "/api/v1/namespaces/prod/pods"
OLD, NEW = shown(Secret("synap_old")), shown(Secret("synap_new"))


def configured(entry: str) -> Witness:
    """Return a witness as its entry in a configuration describes it."""
    section = parse(f"{{{entry}}}", file="hooks.yml", base=Path("/nowhere"))
    made: Witness | None = load(WITNESSES, section, "attestation")
    section.findings.raise_if_any()
    assert made is not None
    return made


class Namespace:
    """A namespace whose pods all listen on one port of 127.0.0.1."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        server.token("ours", ROLE)

    def add(self, name: str, phase: str = "Running", *, ip: str = "127.0.0.1") -> None:
        """Add a pod."""
        status = {"phase": phase, "podIP": ip} if ip else {"phase": phase}
        self.server.put(
            f"{PODS}/{name}", {"metadata": {"labels": {"uses": "synap"}}, "status": status}
        )

    def witness(self, port: int, token: str = "ours") -> Witness:
        """Return the witness of the pods with the label."""
        config = self.server.kubeconfig(self.folder, token)
        return configured(
            f"type: pods, namespace: prod, selector: uses=synap, port: {port}, path: /key, "
            f"kubeconfig: {config}"
        )


@pytest.fixture
def prod(tmp_path: Path) -> Iterator[Namespace]:
    """Yield an empty namespace."""
    server = ApiServer()
    yield Namespace(server, tmp_path)
    server.close()


@pytest.mark.parametrize(
    ("page", "side"),
    [
        pytest.param(NEW, Side.NEW, id="new"),
        pytest.param(f'synap_api_key_info{{key="{NEW}0123456789abcdef"}} 1', Side.NEW, id="metric"),
        pytest.param(f"{OLD} {NEW}", Side.OLD, id="both"),
        pytest.param(OLD, Side.OLD, id="old"),
        pytest.param("0123456789abcdef", Side.THIRD, id="another"),
        pytest.param("", Side.THIRD, id="nothing"),
    ],
)
def test_pages(page: str, side: Side) -> None:
    """The digits may stand anywhere; who still has the old key has not changed."""
    assert judge(page.encode(), NEW, OLD) is side


def test_a_key_that_nobody_knows_is_shown_by_none() -> None:
    """Empty digits stand on no page."""
    assert judge(b"anything", "", "") is Side.THIRD


def test_pods_are_asked(prod: Namespace, sink: Sink) -> None:
    """Each that runs, and none that has ended or has no address yet."""
    prod.add("web-1")
    prod.add("web-2")
    prod.add("job-1", "Succeeded")
    prod.add("starting", "Pending", ip="")
    prod.server.put(f"{PODS}/other", {"status": {"phase": "Running", "podIP": "127.0.0.1"}})
    sink.answer(body=f"key {NEW}\n".encode())

    found = prod.witness(sink.port).ask(NEW, OLD)

    assert found == {"web-1": Side.NEW, "web-2": Side.NEW}
    assert [(seen.method, seen.path) for seen in sink.seen] == [("GET", "/key")] * 2
    assert not any("authorization" in seen.headers for seen in sink.seen)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_answer_that_is_none(prod: Namespace, sink: Sink, status: int) -> None:
    """Whatever stands in it shows nothing."""
    prod.add("web-1")
    sink.answer(status, NEW.encode())

    assert prod.witness(sink.port).ask(NEW, OLD) == {"web-1": Side.THIRD}


def test_nobody_listens(prod: Namespace) -> None:
    """A pod that does not answer shows nothing."""
    prod.add("web-1")
    prod.add("web-2", ip="::1")

    found = prod.witness(free_port()).ask(NEW, OLD)

    assert found == {"web-1": Side.THIRD, "web-2": Side.THIRD}


def test_more_pods_than_there_is_time_for(
    prod: Namespace, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call ends in time; what was not asked is asked by the next look."""
    monkeypatch.setattr(pods, "ALL_SECONDS", 0.05)
    prod.add("web-1")
    sink.answer(hang=0.5)

    with pytest.raises(TransientError) as caught:
        prod.witness(sink.port).ask(NEW, OLD)

    assert caught.value.reason == Reason.TIMEOUT


def test_no_pods(prod: Namespace) -> None:
    """Nobody runs, nobody says anything."""
    assert prod.witness(9).ask(NEW, OLD) == {}


def test_what_the_role_does_not_allow(prod: Namespace) -> None:
    """A Role that may not list pods is a named refusal."""
    prod.server.rules["none"] = []

    with pytest.raises(PermanentError) as caught:
        prod.witness(9, "none").ask(NEW, OLD)

    assert caught.value.reason == Reason.DENIED


def test_the_configuration_is_strict() -> None:
    """What is missing or malformed is named with its line."""
    with pytest.raises(DocumentError) as caught:
        configured("type: pods, port: 70000, path: key")

    assert sorted(caught.value.problems) == [
        'hooks.yml:1: field "namespace" is missing',
        'hooks.yml:1: field "path" must begin with "/"',
        'hooks.yml:1: field "port" must be the port on which the pods show it',
        'hooks.yml:1: field "selector" is missing: the label of the pods that use the key',
    ]
