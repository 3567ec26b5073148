"""Store `kubernetes`, against a fake of the API that judges by the Role of the README."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sink import Sink
from tests.workers.rotation.apiserver import ApiServer
from tests.workers.rotation.stores.conformance import Conformance
from tests.workers.rotation.stores.steps import (
    NEW,
    OLD,
    THIRD,
    check,
    clean,
    configured,
    holds,
    promote,
    put,
    reason_of,
    roll_back,
)
from workers.rotation.errors import Reason, TransientError
from workers.rotation.ports import Store
from workers.section import DocumentError

pytest.importorskip(
    "kubernetes", reason="kubernetes is not installed: pip install 'synap-hooks[kubernetes]'"
)

SECRETS = "/api/v1/namespaces/prod/secrets"
NAME = "synap-api-key"
ROLE = Path(__file__).parent.parent / "policies" / "kubernetes-store.yaml"


class Namespace:
    """A namespace with the Secret, and tokens that may do more or less in it."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.path = f"{SECRETS}/{NAME}"
        server.put(self.path, {"data": {"SYNAP_API_KEY": coded(OLD), "OTHER": coded("x")}})
        server.token("ours", ROLE)
        server.token("elsewhere", ROLE, synap_api_key="another")
        server.token("absent", ROLE, synap_api_key="none")

    def store(self) -> Store:
        """Return the store under the Role of the README."""
        return self._made("ours")

    def set_current(self, value: str) -> None:
        """Write as `kubectl` would."""
        self.server.change(self.path, {"data": {"SYNAP_API_KEY": coded(value)}})

    def set_pending(self, value: str) -> None:
        """Write as another rotation would."""
        self.server.change(self.path, {"data": {"SYNAP_API_KEY_NEXT": coded(value)}})

    def data(self) -> dict[str, str]:
        """Return the Secret's fields."""
        found = self.server.objects[self.path]["data"]
        return {name: base64.b64decode(value).decode() for name, value in found.items()}

    def empty(self) -> Store:
        """Return a store whose Secret does not exist."""
        return self._made("absent", "none")

    def denied(self) -> Store:
        """Return a store whose Role names another Secret."""
        return self._made("elsewhere")

    def unreachable(self) -> Store:
        """Return a store at an address where nothing listens."""
        return self._made("ours", url="http://127.0.0.1:1")

    def _made(self, token: str, secret: str = NAME, url: str = "") -> Store:
        config = self.server.kubeconfig(self.folder, token, url)
        entry = f"namespace: prod, secret: {secret}, kubeconfig: {config}"
        return configured(f"{{type: kubernetes, {entry}}}", self.folder)


def coded(text: str) -> str:
    """Return a text as a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Namespace]:
    """Yield a Secret that holds the old key."""
    server = ApiServer()
    yield Namespace(server, tmp_path)
    server.close()


class TestKubernetesSecret(Conformance):
    """The kit, and what is this store's own."""

    def test_one_write_moves_all_three(self, place: Namespace) -> None:
        """Whoever reads the Secret sees it before or after the promotion, never between."""
        put(place.store())
        place.server.calls.clear()

        promote(place.store())

        assert place.data() == {"SYNAP_API_KEY": NEW, "SYNAP_API_KEY_PREVIOUS": OLD, "OTHER": "x"}
        assert [method for method, _ in place.server.calls] == ["GET", "PATCH"]

    def test_nothing_is_left_when_it_is_over(self, place: Namespace) -> None:
        """The old value lies apart until the rotation is cleaned up; then it is lost."""
        for step in (put, promote, clean):
            step(place.store())

        assert place.data() == {"SYNAP_API_KEY": NEW, "OTHER": "x"}
        assert reason_of(lambda: roll_back(place.store())) == Reason.KEY_LOST

    @pytest.mark.parametrize(
        ("writes", "ends"),
        [
            pytest.param(THIRD, Reason.THIRD_WRITER, id="third"),
            pytest.param(OLD, Reason.CONFLICT, id="another-field"),
            pytest.param(NEW, "", id="new-by-hand"),
        ],
    )
    def test_a_write_between_reading_and_writing(
        self, place: Namespace, writes: str, ends: str
    ) -> None:
        """The server compares for us: what came between is judged, never overwritten."""
        put(place.store())
        place.server.before_patch.append(lambda: place.set_current(writes))

        assert reason_of(lambda: promote(place.store())) == ends
        assert holds(place.store())[0] == writes

    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param(
                {"ownerReferences": [{"kind": "ExternalSecret", "name": "synap"}]}, id="owner"
            ),
            pytest.param(
                {"ownerReferences": [{"kind": "SealedSecret", "name": "synap"}]}, id="sealed"
            ),
            pytest.param(
                {"labels": {"reconcile.external-secrets.io/managed": "true"}}, id="eso-label"
            ),
            pytest.param(
                {"annotations": {"reconcile.external-secrets.io/data-hash": "6f"}}, id="eso-hash"
            ),
            pytest.param(
                {"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}, id="sealed-mark"
            ),
            pytest.param(
                {"labels": {"app.kubernetes.io/managed-by": "external-secrets"}}, id="managed-by"
            ),
        ],
    )
    def test_what_others_write_is_refused(self, place: Namespace, metadata: Any) -> None:
        """A value that something else puts back is not ours to change, but may be read."""
        place.server.change(place.path, {"metadata": metadata})

        for step in (check, put, promote, roll_back):
            assert reason_of(lambda step=step: step(place.store())) == Reason.MANAGED_ELSEWHERE
        assert holds(place.store()) == (OLD, None)

    def test_an_immutable_secret_is_refused(self, place: Namespace) -> None:
        """It can only be replaced under another name, which is a matter of the workloads."""
        place.server.change(place.path, {"immutable": True})

        for step in (check, put):
            assert reason_of(lambda step=step: step(place.store())) == Reason.IMMUTABLE
        assert "PATCH" not in [method for method, _ in place.server.calls]

    def test_what_is_no_text_is_no_key(self, place: Namespace) -> None:
        """A field with bytes is refused by name."""
        place.server.change(place.path, {"data": {"SYNAP_API_KEY": "//4="}})

        assert reason_of(place.store().read_current) == Reason.INVALID

    def test_the_namespace_and_the_name_are_needed(self) -> None:
        """The configuration is refused with its line."""
        with pytest.raises(DocumentError) as caught:
            configured("{type: kubernetes}")

        assert sorted(caught.value.problems) == [
            'hooks.yml:1: field "namespace" is missing',
            'hooks.yml:1: field "secret" is missing: the name of the Secret',
        ]

    def test_in_a_pod_without_an_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Inside a cluster, the pod's own service account is the way in."""
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
        store = configured("{type: kubernetes, namespace: prod, secret: s}")

        assert reason_of(store.read_current) == Reason.DENIED

    def test_a_conflict_with_another_key(self, place: Namespace) -> None:
        """A refused write keeps its own reason."""
        place.server.before_patch.append(lambda: place.server.rules.update(ours=[]))
        put(place.store())

        assert reason_of(lambda: promote(place.store())) == Reason.DENIED

    def test_no_way_into_the_cluster(self, place: Namespace) -> None:
        """A kubeconfig that is not there is said to be missing, without a call."""
        entry = f"namespace: prod, secret: s, kubeconfig: {place.folder}/none"
        store = configured(f"{{type: kubernetes, {entry}}}")

        assert reason_of(store.read_current) == Reason.DENIED


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(409, Reason.CONFLICT, id="conflict"),
        pytest.param(422, Reason.INVALID, id="invalid"),
        pytest.param(429, Reason.RATE_LIMITED, id="throttled"),
        pytest.param(500, Reason.SERVER_ERROR, id="broken"),
        pytest.param(504, Reason.SERVER_ERROR, id="gateway"),
    ],
)
def test_answers(place: Namespace, sink: Sink, status: int, reason: Reason) -> None:
    """Each answer has its name, and a wish to wait is passed on, not waited for."""
    config = place.server.kubeconfig(place.folder, "ours", sink.url)
    entry = f"namespace: prod, secret: s, kubeconfig: {config}"
    store = configured(f"{{type: kubernetes, {entry}}}")
    sink.answer(status, b"{}", headers={"Retry-After": "9"})

    assert reason_of(store.read_current) == reason
    assert len(sink.seen) == 1
    if status == 429:
        with pytest.raises(TransientError) as caught:
            store.read_current()
        assert caught.value.after == 9.0


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_an_answer_that_is_no_object(place: Namespace, sink: Sink, body: bytes) -> None:
    """Something stands between: it may go away."""
    config = place.server.kubeconfig(place.folder, "ours", sink.url)
    store = configured(f"{{type: kubernetes, namespace: p, secret: s, kubeconfig: {config}}}")
    sink.answer(200, body)

    assert reason_of(store.read_current) == Reason.SERVER_ERROR
