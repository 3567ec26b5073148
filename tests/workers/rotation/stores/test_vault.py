"""Store `vault`, against OpenBao's real server with a least-privilege policy in force."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.sink import Sink
from tests.workers.rotation.stores.conformance import Conformance
from tests.workers.rotation.stores.steps import (
    NEW,
    OLD,
    THIRD,
    configured,
    holds,
    promote,
    put,
    reason_of,
    roll_back,
)
from workers.rotation.errors import PortError, Reason
from workers.rotation.ports import Store
from workers.section import DocumentError

pytest.importorskip("hvac", reason="hvac is not installed: pip install 'synap-hooks[vault]'")

import hvac

from tests.workers.rotation.openbao import OpenBao
from workers.rotation.stores.vault import Server, Vault

POLICIES = Path(__file__).parent.parent / "policies"
_paths = itertools.count()


class Engine:
    """A secret of a KV v2 engine, and a token with the least that is needed for it."""

    def __init__(self, bao: OpenBao) -> None:
        self.bao = bao
        self.path = f"synap/key-{next(_paths)}"
        self.kv = bao.root.secrets.kv.v2
        self.set_current(OLD)
        self.token = self._token(self.path)

    def store(self) -> Store:
        """Return the store under the policy of the README."""
        return self._made(self.path, self.token)

    def set_current(self, value: str) -> None:
        """Write as somebody else would, with a field that is none of ours."""
        self.kv.create_or_update_secret(self.path, {"api_key": value, "owner": "team-memory"})

    def set_pending(self, value: str) -> None:
        """Write as another rotation would."""
        self.kv.create_or_update_secret(f"{self.path}-pending", {"api_key": value})

    def fields(self) -> dict[str, Any]:
        """Return the secret's fields."""
        found = self.kv.read_secret_version(self.path, raise_on_deleted_version=True)
        fields: dict[str, Any] = found["data"]["data"]
        return fields

    def empty(self) -> Store:
        """Return a store whose secret does not exist."""
        path = f"synap/key-{next(_paths)}"
        return self._made(path, self._token(path))

    def denied(self) -> Store:
        """Return a store whose token knows other secrets only."""
        return self._made(self.path, self._token("synap/elsewhere"))

    def unreachable(self) -> Store:
        """Return a store at an address where nothing listens."""
        return self._made(self.path, self.token, "http://127.0.0.1:1")

    def policy(self, path: str) -> str:
        """Return the name of a policy: the README's, for this secret."""
        text = (POLICIES / "vault.hcl").read_text().replace("synap/api-key", path)
        name = path.replace("/", "-")
        self.bao.root.sys.create_or_update_policy(name, text)
        return name

    def _token(self, path: str) -> str:
        made = self.bao.root.auth.token.create(
            policies=[self.policy(path)], no_default_policy=True, ttl="10m"
        )
        token: str = made["auth"]["client_token"]
        return token

    def _made(self, path: str, token: str, url: str = "") -> Store:
        auth = f"{{method: token, token: {token}}}"
        return configured(
            f"{{type: vault, address: '{url or self.bao.url}', path: {path}, auth: {auth}}}"
        )


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """Yield a server."""
    server = OpenBao(tmp_path_factory.mktemp("bao"))
    yield server
    server.close()


class TestVault(Conformance):
    """The kit, and what is this store's own."""

    @pytest.fixture
    def place(self, bao: OpenBao) -> Engine:
        """Return a secret that holds the old key."""
        return Engine(bao)

    def test_other_fields_stay(self, place: Engine) -> None:
        """A secret may hold more than the key."""
        put(place.store())
        promote(place.store())
        promoted = place.fields()
        roll_back(place.store())

        assert promoted == {"api_key": NEW, "owner": "team-memory"}
        assert place.fields() == {"api_key": OLD, "owner": "team-memory"}

    def test_a_deleted_version_holds_nothing(self, place: Engine) -> None:
        """What is deleted softly is not current."""
        place.kv.delete_latest_version_of_secret(place.path)

        assert holds(place.store()) == (None, None)
        assert reason_of(lambda: put(place.store())) == Reason.NOT_FOUND

    def test_the_old_value_among_many_versions(self, place: Engine) -> None:
        """The old value is found some versions back; beyond what is kept it is lost."""
        put(place.store())
        promote(place.store())
        for _ in range(8):
            place.set_current(NEW)
        roll_back(place.store())
        back = holds(place.store())[0]
        for _ in range(10):
            place.set_current(NEW)

        assert back == OLD
        assert reason_of(lambda: roll_back(place.store())) == Reason.KEY_LOST

    def test_what_is_no_text_is_no_key(self, place: Engine) -> None:
        """A field with a number is refused by name."""
        place.kv.create_or_update_secret(place.path, {"api_key": 7})

        assert reason_of(place.store().read_current) == Reason.INVALID

    def test_approle(self, place: Engine) -> None:
        """A machine signs in with a role and a secret id from a file, anew at each call."""
        root = place.bao.root
        if "approle/" not in root.sys.list_auth_methods()["data"]:
            root.sys.enable_auth_method("approle")
        policy = place.policy(place.path)
        root.auth.approle.create_or_update_approle("hooks", token_policies=[policy])
        role = root.auth.approle.read_role_id("hooks")["data"]["role_id"]
        secret = root.auth.approle.generate_secret_id("hooks")["data"]["secret_id"]
        auth = f"{{method: approle, role: {role}, secret_id: {secret}}}"
        store = configured(
            f"{{type: vault, address: '{place.bao.url}', path: {place.path}, auth: {auth}}}"
        )

        put(store)
        promote(store)

        assert holds(store) == (NEW, None)

    def test_a_role_that_does_not_exist(self, place: Engine) -> None:
        """A refused sign-in fails by name."""
        auth = "{method: kubernetes, role: hooks, jwt: eyJ}"
        store = configured(
            f"{{type: vault, address: '{place.bao.url}', path: {place.path}, auth: {auth}}}"
        )

        assert reason_of(store.read_current) == Reason.DENIED


class Hasty:
    """A server whose client lets something happen once, after the pending key was read."""

    def __init__(self, server: Server, action: Callable[[], None]) -> None:
        self.login = server.login
        self._server = server
        self._waiting = [action]

    def client(self) -> hvac.Client:
        """Return a client that looks at every answer."""
        client = self._server.client()
        client.adapter.session.hooks["response"] = [self._look]
        return client

    def _look(self, answer: Any, **_: Any) -> None:
        if answer.request.method == "GET" and "-pending" in answer.url and self._waiting:
            self._waiting.pop()()


@pytest.mark.parametrize(
    ("writes", "ends"),
    [
        pytest.param(THIRD, Reason.THIRD_WRITER, id="third"),
        pytest.param(OLD, Reason.CONFLICT, id="another-field"),
        pytest.param(NEW, "", id="new-by-hand"),
    ],
)
def test_a_write_between_reading_and_writing(bao: OpenBao, writes: str, ends: str) -> None:
    """The server compares for us: what came between is judged, never overwritten."""
    engine = Engine(bao)
    put(engine.store())
    store = cast("Vault", engine.store())
    store._server = cast("Server", Hasty(store._server, lambda: engine.set_current(writes)))

    assert reason_of(lambda: promote(store)) == ends
    assert holds(engine.store())[0] == writes


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(400, Reason.INVALID, id="malformed"),
        pytest.param(403, Reason.DENIED, id="denied"),
        pytest.param(412, Reason.SERVER_ERROR, id="replica-behind"),
        pytest.param(429, Reason.RATE_LIMITED, id="quota"),
        pytest.param(500, Reason.SERVER_ERROR, id="broken"),
        pytest.param(503, Reason.SERVER_ERROR, id="sealed"),
    ],
)
def test_answers(sink: Sink, status: int, reason: Reason) -> None:
    """Each answer has its name; its text, which may repeat what was sent, is not shown."""
    sink.answer(status, b'{"errors": ["synap_n3wKn3wK"]}')
    store = configured(
        f"{{type: vault, address: '{sink.url}', path: p, auth: {{method: token, token: t}}}}"
    )

    with pytest.raises(PortError) as caught:
        store.read_current()

    assert caught.value.reason == reason
    assert "n3wK" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"data": {"data": null}}'])
def test_another_server_in_its_place(sink: Sink, body: bytes) -> None:
    """An answer of some proxy is no empty secret."""
    sink.answer(200, body)
    store = configured(
        f"{{type: vault, address: '{sink.url}', path: p, auth: {{method: token, token: t}}}}"
    )

    assert reason_of(store.read_current) == Reason.SERVER_ERROR


def test_a_token_file_is_read_at_each_call(bao: OpenBao, tmp_path: Path) -> None:
    """An agent may replace the token, and may not have written it yet."""
    engine = Engine(bao)
    auth = "{method: token, token_file: token}"
    entry = f"{{type: vault, address: '{bao.url}', path: {engine.path}, auth: {auth}}}"
    store = configured(entry, tmp_path)

    early = reason_of(store.read_current)
    (tmp_path / "token").write_text(engine.token + "\n")

    assert early == Reason.DENIED
    assert holds(store) == (OLD, None)


def test_the_configuration_is_strict() -> None:
    """What is missing or unknown is named with its line."""
    with pytest.raises(DocumentError) as caught:
        configured("type: vault\naddress: nowhere\nauth:\n  method: approle\n  role: r\n")
    with pytest.raises(DocumentError) as without:
        configured("{type: vault, address: 'http://h', path: p}")

    assert caught.value.problems == [
        'hooks.yml:1: field "path" is missing: the secret, without mount and "data/"',
        'hooks.yml:2: field "address" must be an http or https URL',
        'hooks.yml:4: auth by approle needs "secret_id"',
    ]
    assert without.value.problems == [
        'hooks.yml:1: "auth.method" must be token, approle or kubernetes'
    ]
