"""Store `azure`: one secret of Azure Key Vault.

A new version is what applications get at once, so the pending slot is a secret of its own,
`NAME-pending`. It is emptied by disabling its version, never by deleting it: a deleted name stays
reserved and cannot be written again. There is no compare-and-set: the versions before and after a
write are compared, and one that is neither's shows that somebody else wrote between.

Least privilege: a role with the data actions getSecret, setSecret and readMetadata on the secret,
and with `update` as well on the pending one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import KeyVaultSecret, SecretClient, SecretProperties

from workers.outbound import callable_url
from workers.rotation.errors import (
    PermanentError,
    PortError,
    Reason,
    ThirdWriterError,
    TransientError,
)
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot
from workers.rotation.stores import judging
from workers.section import Section

SUFFIX: Final = "-pending"
TAG: Final = "synap-rotation"
LOOKED_BACK: Final = 10
"""Versions in which the old value is looked for."""

OPTIONS: Final[dict[str, Any]] = {"retry_total": 0, "connection_timeout": 3, "read_timeout": 8}
"""How every client is made: it tries once, the one who calls decides on repeats."""

_DISABLED: Final = "SecretDisabled"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_REASONS: Final = {401: Reason.DENIED, 403: Reason.DENIED, 404: Reason.NOT_FOUND}
_CONFLICT: Final = 409
_THROTTLED: Final = 429
_SERVER: Final = 500


def connect(vault_url: str) -> SecretClient:
    """Return a client with the credentials of the environment, the pod or the machine."""
    return SecretClient(vault_url, DefaultAzureCredential(), **OPTIONS)


class AzureKeyVault:
    """Keeps a credential as the value of a secret's latest version."""

    def __init__(
        self, vault_url: str, secret: str, connect: Callable[[str], SecretClient] = connect
    ) -> None:
        self._vault_url = vault_url
        self._secret = secret
        self._pending = secret + SUFFIX
        self._connect = connect

    @property
    def name(self) -> str:
        """Return the kind and the secret."""
        return f"azure:{self._vault_url.rstrip('/')}/secrets/{self._secret}"

    def check(self) -> None:
        """Do nothing: whoever may set a secret owns it."""

    def read_current(self) -> Slot | None:
        """Return the latest version."""
        with self._reading():
            return _slot(self._get(self._secret))

    def read_pending(self) -> Slot | None:
        """Return the latest version of the pending secret, unless it is disabled."""
        with self._reading():
            return _slot(self._get(self._pending))

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the newest version that is the old one."""
        with self._reading():
            return self._old(pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Set the pending secret."""
        with self._reading():
            current, pending = _slot(self._get(self._secret)), _slot(self._get(self._pending))
            if judging.must_put(self.name, current, pending, pair):
                self._client.set_secret(self._pending, value.reveal(), tags={TAG: token})

    def promote(self, pair: Pair, token: str) -> None:
        """Set the secret to the pending value, then disable the pending one."""
        with self._reading():
            if judging.must_promote(self.name, _slot(self._get(self._secret)), pair):
                new = judging.waiting(self.name, _slot(self._get(self._pending)), pair)
                self._set(new.value, pair, Side.NEW, token)
            self._forget_pending(pair)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Set the secret to the old value, as its version keeps it."""
        with self._reading():
            if judging.must_roll_back(self.name, _slot(self._get(self._secret)), pair):
                old = judging.kept(self.name, self._old(pair))
                self._set(old.value, pair, Side.OLD, token)

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Disable the pending version, if it holds the new value."""
        del token
        with self._reading():
            self._forget_pending(pair)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Disable the pending version; the old value stays among the secret's versions."""
        self.drop_pending(pair, token)

    @cached_property
    def _client(self) -> SecretClient:
        logging.getLogger("azure").setLevel(logging.WARNING)
        return self._connect(self._vault_url)

    def _get(self, name: str, version: str | None = None) -> KeyVaultSecret | None:
        """Return a version, the latest if none is named; None if there is none or it is off."""
        try:
            return self._client.get_secret(name, version)
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if _inner(error) == _DISABLED:
                return None
            raise

    def _versions(self) -> list[SecretProperties]:
        """Return what is said of every version, newest first."""
        found = list(self._client.list_properties_of_secret_versions(self._secret))
        return sorted(found, key=lambda one: one.created_on or _LONG_AGO, reverse=True)

    def _old(self, pair: Pair) -> Slot | None:
        enabled = [one for one in self._versions() if one.enabled][:LOOKED_BACK]
        return judging.old_of(
            (_slot(self._get(self._secret, one.version)) for one in enabled), pair
        )

    def _set(self, value: Secret, pair: Pair, wanted: Side, token: str) -> None:
        """Write a version, with the type and tags of the one before; see who else wrote."""
        before = {one.version for one in self._versions()}
        judged = self._get(self._secret)
        judging.confirm(
            self.name, _slot(judged), pair, Side.OLD if wanted is Side.NEW else Side.NEW
        )
        assert judged is not None
        written = self._client.set_secret(
            self._secret,
            value.reveal(),
            content_type=judged.properties.content_type,
            tags={**(judged.properties.tags or {}), TAG: token},
        )
        others = {one.version for one in self._versions()} - before - {written.properties.version}
        if others:
            raise ThirdWriterError(f"{self.name}: another writer's version came at the same time")
        judging.confirm(self.name, _slot(self._get(self._secret)), pair, wanted)

    def _forget_pending(self, pair: Pair) -> None:
        pending = _slot(self._get(self._pending))
        if pending is not None and judging.waits(pending, pair):
            self._client.update_secret_properties(self._pending, pending.version, enabled=False)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn the SDK's errors into ours; their texts are not shown."""
        try:
            yield
        except ClientAuthenticationError:
            raise PermanentError(Reason.DENIED, f"{self.name}: no sign-in") from None
        except HttpResponseError as error:
            raise self._trouble(error) from None
        except ServiceRequestError:
            raise TransientError(Reason.UNREACHABLE, f"{self.name}: no connection") from None
        except ServiceResponseError:
            raise TransientError(Reason.TIMEOUT, f"{self.name}: no whole answer") from None
        except AzureError as error:
            said = f"{self.name}: {type(error).__name__}"
            raise PermanentError(Reason.INVALID, said) from None

    def _trouble(self, error: HttpResponseError) -> PortError:
        status = error.status_code or 0
        said = f"{self.name}: status {status}"
        if status == _THROTTLED:
            headers: Any = getattr(error.response, "headers", {})
            asked = headers.get("Retry-After", "")
            after = float(asked) if asked.isdecimal() else None
            return TransientError(Reason.RATE_LIMITED, said, after=after)
        if status >= _SERVER:
            return TransientError(Reason.SERVER_ERROR, said)
        if status == _CONFLICT:
            said = f"{said}: a deleted secret has this name; recover or purge it"
            return PermanentError(Reason.CONFLICT, said)
        return PermanentError(_REASONS.get(status, Reason.INVALID), said)


def _slot(found: KeyVaultSecret | None) -> Slot | None:
    if found is None or not found.value:
        return None
    return Slot(Secret(found.value), found.properties.version or "")


def _inner(error: HttpResponseError) -> str:
    """Return the code inside the code, by which a disabled secret is told from a denied one."""
    said = error.error.innererror if error.error else None
    return str((said or {}).get("code", ""))


def read(section: Section) -> AzureKeyVault:
    """Read the entry of type `azure`."""
    vault_url, secret = section.text("vault_url"), section.text("secret")
    if not (callable_url(vault_url) and vault_url.startswith("https://")):
        section.problem('field "vault_url" must be an https URL', "vault_url")
    if not secret:
        section.problem('field "secret" is missing: the name of the secret')
    return AzureKeyVault(vault_url, secret)
