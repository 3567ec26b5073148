"""Store `gcp`, under Google's own client, against a fake of its wire (there is no real server)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

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

pytest.importorskip(
    "google.cloud.secretmanager_v1",
    reason="google-cloud-secret-manager is not installed: pip install 'synap-hooks[gcp]'",
)

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, TransportError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from tests.workers.rotation.secret_manager import SecretManager, State
from workers.rotation.stores.gcp import GcpSecretManager

POLICY = Path(__file__).parent.parent / "policies" / "gcp.json"
MAIN = "projects/p/secrets/synap-api-key"


class Project:
    """A project with the secret, its pending one, and the roles of the README."""

    def __init__(self, server: SecretManager) -> None:
        self.server = server
        self.clients = [server.client()]
        for secret, roles in json.loads(POLICY.read_text()).items():
            name = secret.replace("PROJECT", "p")
            server.secrets[name] = []
            server.grant(name, roles)
            server.grant(name.replace("synap-api-key", "none"), roles)
        server.add(MAIN, OLD.encode())

    def store(self) -> Store:
        """Return the store under the roles of the README."""
        return GcpSecretManager("p", "synap-api-key", lambda: self.clients[0])

    def set_current(self, value: str) -> None:
        """Add a version as the console does."""
        self.server.add(MAIN, value.encode())

    def set_pending(self, value: str) -> None:
        """Add a version as another rotation would."""
        self.server.add(f"{MAIN}-pending", value.encode())

    def empty(self) -> Store:
        """Return a store whose secret does not exist."""
        return GcpSecretManager("p", "none", lambda: self.clients[0])

    def denied(self) -> Store:
        """Return a store of a secret for which no role was given."""
        return GcpSecretManager("p", "elsewhere", lambda: self.clients[0])

    def unreachable(self) -> Store:
        """Return a store at an address where nothing listens."""
        self.clients.append(self.server.client(1))
        return GcpSecretManager("p", "synap-api-key", lambda: self.clients[-1])

    def close(self) -> None:
        """Close every connection and the server."""
        for client in self.clients:
            client.transport.close()
        self.server.close()


@pytest.fixture
def place() -> Iterator[Project]:
    """Yield a project whose secret holds the old key."""
    project = Project(SecretManager())
    yield project
    project.close()


class TestGcpSecretManager(Conformance):
    """The kit, and what is this store's own."""

    def test_versions(self, place: Project) -> None:
        """Nothing is written to the secret before the promotion, and no version is disabled."""
        put(place.store())
        waiting = len(place.server.secrets[MAIN])
        promote(place.store())
        roll_back(place.store())

        assert waiting == 1
        assert place.server.secrets[MAIN] == [
            (OLD.encode(), State.ENABLED),
            (NEW.encode(), State.ENABLED),
            (OLD.encode(), State.ENABLED),
        ]
        assert place.server.secrets[f"{MAIN}-pending"] == [(b"", State.DESTROYED)]

    def test_a_write_between_judging_and_writing_shows(self, place: Project) -> None:
        """There is no compare-and-set: a number that does not follow says it."""
        put(place.store())
        place.server.before_add.append(lambda: place.set_current(THIRD))

        assert reason_of(lambda: promote(place.store())) == Reason.THIRD_WRITER
        assert holds(place.store()) == (NEW, NEW)

    def test_a_damaged_payload_is_not_believed(self, place: Project) -> None:
        """What does not match its checksum is read again later."""
        place.server.damaged = True

        assert reason_of(place.store().read_current) == Reason.UNFAITHFUL

    def test_a_disabled_latest_version_holds_nothing(self, place: Project) -> None:
        """Applications get nothing then, so nothing is current."""
        place.server.secrets[MAIN][0] = (OLD.encode(), State.DISABLED)

        assert reason_of(lambda: put(place.store())) == Reason.NOT_FOUND

    def test_the_pending_secret_must_exist(self, place: Project) -> None:
        """Creating secrets is not among the permissions."""
        del place.server.secrets[f"{MAIN}-pending"]

        assert reason_of(lambda: put(place.store())) == Reason.NOT_FOUND

    @pytest.mark.parametrize(
        ("raised", "reason"),
        [
            pytest.param(DefaultCredentialsError(), Reason.DENIED, id="nobody"),
            pytest.param(TransportError(), Reason.UNREACHABLE, id="no-sign-in"),
            pytest.param(exceptions.DeadlineExceeded("n3w"), Reason.TIMEOUT, id="late"),
            pytest.param(exceptions.ResourceExhausted("n3w"), Reason.RATE_LIMITED, id="quota"),
            pytest.param(exceptions.Aborted("n3w"), Reason.CONFLICT, id="aborted"),
            pytest.param(exceptions.InternalServerError("n3w"), Reason.SERVER_ERROR, id="broken"),
            pytest.param(exceptions.Unauthenticated("n3w"), Reason.DENIED, id="no-token"),
            pytest.param(exceptions.InvalidArgument("n3w"), Reason.INVALID, id="malformed"),
        ],
    )
    def test_what_the_sdk_raises(self, raised: Exception, reason: Reason) -> None:
        """Each has its name, and its text is not shown."""

        def connect() -> SecretManagerServiceClient:
            raise raised

        store = GcpSecretManager("p", "s", connect)

        with pytest.raises(PortError) as caught:
            store.read_current()
        assert caught.value.reason == reason
        assert "n3w" not in str(caught.value)

    def test_bytes_are_no_key(self, place: Project) -> None:
        """A payload that is no text is refused by name."""
        place.server.add(MAIN, b"\xff")

        assert reason_of(place.store().read_current) == Reason.INVALID

    def test_the_old_value_some_versions_back(self, place: Project) -> None:
        """It is looked for in the newest versions that are enabled, page by page."""
        put(place.store())
        promote(place.store())
        for _ in range(8):
            place.set_current(NEW)
        roll_back(place.store())

        assert holds(place.store()) == (OLD, None)


def test_the_configuration_is_strict() -> None:
    """What is missing is named with its line."""
    with pytest.raises(DocumentError) as caught:
        configured("{type: gcp}")

    assert sorted(caught.value.problems) == [
        'hooks.yml:1: field "project" is missing',
        'hooks.yml:1: field "secret" is missing',
    ]
    assert configured("{type: gcp, project: p, secret: s}").name == "gcp:projects/p/secrets/s"
