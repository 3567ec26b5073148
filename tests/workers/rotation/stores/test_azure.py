"""Store `azure`, under Microsoft's own client, against a fake of its wire (HTTPS, challenge)."""

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
    drop,
    holds,
    promote,
    put,
    reason_of,
    roll_back,
    token,
)
from workers.rotation.errors import Reason, TransientError
from workers.rotation.ports import Store
from workers.section import DocumentError

pytest.importorskip(
    "azure.keyvault.secrets",
    reason="azure-keyvault-secrets is not installed: pip install 'synap-hooks[azure]'",
)

from tests.workers.rotation.key_vault import CHALLENGE, KeyVault
from workers.rotation.stores.azure import AzureKeyVault, connect

POLICY = Path(__file__).parent.parent / "policies" / "azure.json"
NAME = "synap-api-key"


class Place:
    """A vault with the secret, and tokens with the data actions of the README, or none."""

    def __init__(self, vault: KeyVault) -> None:
        self.vault = vault
        self.clients = {}
        for path, actions in json.loads(POLICY.read_text()).items():
            secret = path.removeprefix("secrets/")
            vault.granted[("ours", secret)] = actions
            vault.granted[("ours", secret.replace(NAME, "none"))] = actions
        vault.set(NAME, OLD, contentType="text/plain", tags={"team": "memory"})

    def store(self) -> Store:
        """Return the store with the data actions of the README."""
        return self._made(NAME, "ours")

    def set_current(self, value: str) -> None:
        """Write as the portal does."""
        self.vault.set(NAME, value)

    def set_pending(self, value: str) -> None:
        """Write as another rotation would."""
        self.vault.set(f"{NAME}-pending", value)

    def empty(self) -> Store:
        """Return a store whose secret does not exist."""
        return self._made("none", "ours")

    def denied(self) -> Store:
        """Return a store whose token may do nothing."""
        return self._made(NAME, "nobody")

    def unreachable(self) -> Store:
        """Return a store at an address where nothing listens."""
        return self._made(NAME, "ours", "https://127.0.0.1:1")

    def close(self) -> None:
        """Close every connection and the server."""
        for client in self.clients.values():
            client.close()
        self.vault.close()

    def _made(self, secret: str, who: str, url: str = "") -> Store:
        key = (who, url or self.vault.url)
        if key not in self.clients:
            self.clients[key] = self.vault.client(key[1], who)
        return AzureKeyVault(key[1], secret, lambda _: self.clients[key])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield a vault whose secret holds the old key."""
    made = Place(KeyVault(tmp_path))
    yield made
    made.close()


class TestAzureKeyVault(Conformance):
    """The kit, and what is this store's own."""

    def test_the_challenge_is_answered(self, place: Place) -> None:
        """The first request carries nothing; the token goes where the vault says."""
        put(place.store())

        assert place.vault.challenged == 1

    def test_type_and_tags_stay(self, place: Place) -> None:
        """The new version says which rotation made it, beside what stood there."""
        put(place.store())
        promote(place.store())

        newest = place.vault.secrets[NAME][-1]
        assert newest["contentType"] == "text/plain"
        assert newest["tags"] == {"team": "memory", "synap-rotation": token(f"promote {NEW}")}

    def test_no_version_of_the_secret_is_disabled(self, place: Place) -> None:
        """Readers of the latest version never fail; the pending one is switched off."""
        put(place.store())
        promote(place.store())
        roll_back(place.store())

        main, pending = place.vault.secrets[NAME], place.vault.secrets[f"{NAME}-pending"]
        assert [one["value"] for one in main] == [OLD, NEW, OLD]
        assert [one["attributes"]["enabled"] for one in main] == [True] * 3
        assert [one["attributes"]["enabled"] for one in pending] == [False]

    def test_a_dropped_key_can_be_put_again(self, place: Place) -> None:
        """A disabled version does not reserve the name, as a deleted secret would."""
        for step in (put, drop, put):
            step(place.store())

        assert holds(place.store()) == (OLD, NEW)

    @pytest.mark.parametrize("value", [THIRD, OLD, NEW])
    def test_a_write_between_judging_and_writing_shows(self, place: Place, value: str) -> None:
        """There is no compare-and-set: a version that is nobody's of these two says it."""
        put(place.store())
        place.vault.before_put.append(lambda: place.set_current(value))

        assert reason_of(lambda: promote(place.store())) == Reason.THIRD_WRITER
        assert holds(place.store()) == (NEW, NEW)

    def test_a_deleted_name_is_reserved(self, place: Place) -> None:
        """It says what to do."""
        place.vault.deleted.add(f"{NAME}-pending")

        assert reason_of(lambda: put(place.store())) == Reason.CONFLICT

    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            pytest.param(400, Reason.INVALID, id="malformed"),
            pytest.param(429, Reason.RATE_LIMITED, id="throttled"),
            pytest.param(503, Reason.SERVER_ERROR, id="broken"),
        ],
    )
    def test_answers(self, place: Place, status: int, reason: Reason) -> None:
        """Each answer has its name."""
        place.vault.trouble = (status, {"Retry-After": "7"})

        assert reason_of(place.store().read_current) == reason

    def test_another_challenge_is_no_answer(self, place: Place) -> None:
        """A token that the vault refuses once more is a missing permission."""
        place.vault.trouble = (401, {"WWW-Authenticate": CHALLENGE})

        assert reason_of(place.store().read_current) == Reason.DENIED

    def test_no_whole_answer(self, place: Place) -> None:
        """A connection that breaks may stand again."""
        place.vault.trouble = (0, {})

        assert reason_of(place.store().read_current) == Reason.TIMEOUT

    def test_a_wish_to_wait_is_passed_on(self, place: Place) -> None:
        """The vault's own seconds, not waited for here."""
        place.vault.trouble = (429, {"Retry-After": "7"})

        with pytest.raises(TransientError) as caught:
            place.store().read_current()

        assert caught.value.after == 7.0


def test_nobody_is_signed_in_before_the_first_call() -> None:
    """A client is made without a call, from whatever the environment has."""
    with connect("https://vault.example") as client:
        assert client.vault_url == "https://vault.example"


def test_the_configuration_is_strict() -> None:
    """What is missing or malformed is named with its line."""
    with pytest.raises(DocumentError) as caught:
        configured("type: azure\nvault_url: http://plain\n")

    assert caught.value.problems == [
        'hooks.yml:1: field "secret" is missing: the name of the secret',
        'hooks.yml:2: field "vault_url" must be an https URL',
    ]
