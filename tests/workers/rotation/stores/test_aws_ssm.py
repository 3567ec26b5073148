"""Store `aws_ssm`, against moto's server with a least-privilege policy in force."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

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
)
from workers.rotation.errors import Reason
from workers.rotation.ports import Store
from workers.section import DocumentError

pytest.importorskip("moto", reason="moto[server] is not installed: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'synap-hooks[aws]'")

from tests.workers.rotation.cloud import REGION, Aws, fresh, sign_in
from workers.rotation.stores.aws_ssm import AwsSsm

POLICY = "aws_ssm.json"


class Account:
    """A parameter in an account, and who may do what with it."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> None:
        self.aws = aws
        self.monkeypatch = monkeypatch
        self.keys = keys
        self.parameter = f"/synap/{fresh()}"
        self.sdk = aws.root("ssm")
        self.write(self.parameter, OLD, KeyId="alias/ours")

    def write(self, name: str, value: str, **others: str) -> None:
        """Write a parameter as somebody else would."""
        kind = {"Type": "SecureString", **others}
        self.sdk.put_parameter(Name=name, Value=value, Overwrite=True, **kind)

    def store(self) -> Store:
        """Return the store under the least-privilege policy."""
        return self._made(self.parameter, self.keys)

    def set_current(self, value: str) -> None:
        """Write as the console does."""
        self.write(self.parameter, value)

    def set_pending(self, value: str) -> None:
        """Write as another rotation would."""
        self.write(f"{self.parameter}.pending", value)

    def newest(self) -> dict[str, Any]:
        """Return how the newest version is kept."""
        history = self.sdk.get_parameter_history(Name=self.parameter)["Parameters"]
        newest = max(history, key=lambda version: version["Version"])
        return {field: newest[field] for field in ("Version", "Type", "KeyId", "Tier")}

    def empty(self) -> Store:
        """Return a store whose parameter does not exist."""
        return self._made(f"/synap/{fresh()}", self.keys)

    def denied(self) -> Store:
        """Return a store whose user may do nothing."""
        return self._made(self.parameter, self.aws.nobody)

    def unreachable(self) -> Store:
        """Return a store at an address where nothing listens."""
        return self._made(self.parameter, self.keys, "http://127.0.0.1:1")

    def _made(self, parameter: str, keys: tuple[str, str], url: str = "") -> Store:
        """Return a store; its client is made at once, with these keys."""
        sign_in(self.monkeypatch, keys)
        entry = f"parameter: {parameter}, region: {REGION}, endpoint_url: '{url or self.aws.url}'"
        store = configured(f"{{type: aws_ssm, {entry}}}")
        assert cast("AwsSsm", store)._client
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


class TestAwsSsm(Conformance):
    """The kit, and what is this store's own."""

    served_by = ("moto", "werkzeug")

    @pytest.fixture
    def place(self, aws: Aws, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]) -> Account:
        """Return a parameter that holds the old key."""
        return Account(aws, monkeypatch, keys)

    def test_the_key_that_encrypts_stays(self, place: Account) -> None:
        """A write that names no key would silently move the parameter under AWS's own."""
        put(place.store())
        promote(place.store())

        assert place.newest() == {
            "Version": 2,
            "Type": "SecureString",
            "KeyId": "alias/ours",
            "Tier": "Standard",
        }

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            pytest.param(THIRD, Reason.THIRD_WRITER, id="third"),
            pytest.param(OLD, Reason.THIRD_WRITER, id="even-the-old-one"),
        ],
    )
    def test_a_write_between_judging_and_writing_shows(
        self, place: Account, value: str, reason: Reason
    ) -> None:
        """There is no compare-and-set: a version that does not follow the judged one says it."""
        put(place.store())
        store = place.store()
        waiting = [lambda: place.set_current(value)]
        cast("AwsSsm", store)._client.meta.events.register(
            "before-call.ssm.PutParameter", lambda **_: waiting and waiting.pop()()
        )

        assert reason_of(lambda: promote(store)) == reason
        assert holds(place.store()) == (NEW, NEW)

    def test_a_plain_string_is_refused(self, place: Account) -> None:
        """A parameter that is not encrypted is no place for a key."""
        name = f"/synap/{fresh()}"
        place.write(name, OLD, Type="String")
        place.parameter = name

        assert reason_of(place.store().read_current) == Reason.INVALID

    def test_more_than_a_page_of_history(self, place: Account) -> None:
        """The old value is found wherever the history has it."""
        for number in range(60):
            place.set_current(f"synap_{number}")
        place.set_current(OLD)

        put(place.store())
        promote(place.store())

        current = place.store().read_current()
        assert current
        assert (current.value.reveal(), current.version) == (NEW, "63")


def test_a_name_is_needed() -> None:
    """The configuration is refused with its line."""
    with pytest.raises(DocumentError, match='field "parameter" is missing'):
        configured("{type: aws_ssm}")
