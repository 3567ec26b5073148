"""Store `aws_secrets_manager`, against moto's server with a least-privilege policy in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from tests.workers.rotation.stores.conformance import Conformance
from tests.workers.rotation.stores.steps import (
    NEW,
    OLD,
    THIRD,
    check,
    configured,
    drop,
    holds,
    promote,
    put,
    reason_of,
    roll_back,
    token,
)
from workers.rotation.errors import Reason, RefusedError, ThirdWriterError
from workers.rotation.ports import Store
from workers.section import DocumentError

pytest.importorskip("moto", reason="moto[server] is not installed: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'synap-hooks[aws]'")

from tests.workers.rotation.cloud import REGION, Aws, fresh, sign_in
from workers.rotation.stores.aws_secrets_manager import AwsSecretsManager

POLICY = "aws_secrets_manager.json"


class Account:
    """A secret in an account, and who may do what with it."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> None:
        self.aws = aws
        self.monkeypatch = monkeypatch
        self.keys = keys
        self.secret = fresh()
        self.sdk = aws.root("secretsmanager")
        self.sdk.create_secret(Name=self.secret, SecretString=OLD)

    def store(self) -> Store:
        """Return the store under the least-privilege policy."""
        return self._made(self.secret, self.keys)

    def set_current(self, value: str) -> None:
        """Write as the console does."""
        self.sdk.put_secret_value(SecretId=self.secret, SecretString=value)

    def set_pending(self, value: str) -> None:
        """Write as another rotation would."""
        self.sdk.put_secret_value(
            SecretId=self.secret, SecretString=value, VersionStages=["AWSPENDING"]
        )

    def stages(self) -> list[list[str]]:
        """Return the labels of every version that has any."""
        found = self.sdk.describe_secret(SecretId=self.secret)["VersionIdsToStages"]
        return sorted(sorted(labels) for labels in found.values() if labels)

    def empty(self) -> Store:
        """Return a store whose secret does not exist."""
        return self._made(fresh(), self.keys)

    def denied(self) -> Store:
        """Return a store whose user may do nothing."""
        return self._made(self.secret, self.aws.nobody)

    def unreachable(self) -> Store:
        """Return a store at an address where nothing listens."""
        return self._made(self.secret, self.keys, "http://127.0.0.1:1")

    def _made(self, secret: str, keys: tuple[str, str], url: str = "") -> Store:
        """Return a store; its client is made at once, with these keys."""
        sign_in(self.monkeypatch, keys)
        entry = f"secret_id: {secret}, region: {REGION}, endpoint_url: '{url or self.aws.url}'"
        store = configured(f"{{type: aws_secrets_manager, {entry}}}")
        assert cast("AwsSecretsManager", store)._client
        return store


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """Yield an account."""
    account = Aws()
    yield account
    account.close()


@pytest.fixture(scope="module")
def keys(aws: Aws) -> tuple[str, str]:
    """Return the access key of a user with the policy of the README."""
    return aws.least(POLICY)


class TestAwsSecretsManager(Conformance):
    """The kit, and what is this store's own."""

    served_by = ("moto", "werkzeug")

    @pytest.fixture
    def place(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> Account:
        """Return a secret that holds the old key."""
        return Account(aws, monkeypatch, keys)

    def test_labels(self, place: Account) -> None:
        """AWSPENDING is gone after the promotion: left behind, it blocks a RotateSecret."""
        put(place.store())
        waiting = place.stages()
        promote(place.store())
        promoted = place.stages()
        roll_back(place.store())

        assert waiting == [["AWSCURRENT"], ["AWSPENDING"]]
        assert promoted == [["AWSCURRENT"], ["AWSPREVIOUS"]]
        assert place.stages() == [["AWSCURRENT"], ["AWSPREVIOUS"]]

    def test_a_promotion_killed_before_its_last_call_is_finished(self, place: Account) -> None:
        """AWSPENDING on the current version is taken off by the repeat."""
        put(place.store())
        new, old = (place.store().read_pending(), place.store().read_current())
        assert new
        assert old
        place.sdk.update_secret_version_stage(
            SecretId=place.secret,
            VersionStage="AWSCURRENT",
            MoveToVersionId=new.version,
            RemoveFromVersionId=old.version,
        )

        promote(place.store())

        assert place.stages() == [["AWSCURRENT"], ["AWSPREVIOUS"]]

    def test_the_token_is_the_version(self, place: Account) -> None:
        """A repeat is no second version."""
        put(place.store())
        put(place.store())

        pending = place.store().read_pending()
        assert pending
        assert pending.version == token(f"put {NEW}")

    def test_the_version_of_the_token_holds_another_value(self, place: Account) -> None:
        """What stands under this rotation's token but is not its key is a third value."""
        place.sdk.put_secret_value(
            SecretId=place.secret,
            SecretString=THIRD,
            ClientRequestToken=token(f"put {NEW}"),
            VersionStages=["elsewhere"],
        )

        with pytest.raises(ThirdWriterError):
            put(place.store())

    @pytest.mark.parametrize(
        ("value", "ends"),
        [pytest.param(THIRD, "third_writer", id="third"), pytest.param(NEW, "", id="new-by-hand")],
    )
    def test_a_write_between_reading_and_moving(
        self, place: Account, value: str, ends: str
    ) -> None:
        """AWS compares for us: what came between is judged, never overwritten."""
        put(place.store())
        store = place.store()
        between(store, "UpdateSecretVersionStage", lambda: place.set_current(value))

        assert reason_of(lambda: promote(store)) == ends
        assert holds(place.store())[0] == value

    def test_a_secret_that_aws_rotates_is_refused(self, place: Account) -> None:
        """Two rotators of one secret are one too many."""
        place.sdk.rotate_secret(
            SecretId=place.secret,
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=False,
        )

        for step in (check, put, promote, roll_back):
            with pytest.raises(RefusedError) as caught:
                step(place.store())
            assert caught.value.reason == Reason.MANAGED_ELSEWHERE

    def test_binary_is_no_key(self, place: Account) -> None:
        """A secret without text is refused by name."""
        place.sdk.put_secret_value(SecretId=place.secret, SecretBinary=b"\x00")

        assert reason_of(place.store().read_current) == Reason.INVALID

    def test_a_label_that_was_dropped_is_set_again(self, place: Account) -> None:
        """The version of the token may outlive its label."""
        for step in (put, drop, put, promote):
            step(place.store())

        assert holds(place.store()) == (NEW, None)


def between(store: Store, operation: str, action: Callable[[], None]) -> None:
    """Let something happen once, after the store has read and before it writes."""
    events = cast("AwsSecretsManager", store)._client.meta.events
    waiting = [action]

    def happen(**_: Any) -> None:
        if waiting:
            waiting.pop()()

    events.register(f"before-call.*.{operation}", happen)


def test_the_configuration_is_strict() -> None:
    """What is missing, unknown or malformed is named with its line."""
    entry = "type: aws_secrets_manager\nendpoint_url: nowhere\nregoin: x\n"
    with pytest.raises(DocumentError) as caught:
        configured(entry)

    assert caught.value.problems == [
        'hooks.yml:1: field "secret_id" is missing: the name or the ARN of the secret',
        "hooks.yml:2: endpoint_url must be an http or https URL",
        'hooks.yml:3: unknown field "regoin" in the file (did you mean "region"?)',
    ]
